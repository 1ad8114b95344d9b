"""Settings of JAX that every test runs under, and where the shared test data stand."""

import os
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

# All of this is read when JAX is imported, so it must stand above that import. It goes into the environment and not
# into jax.config so that programs which a test starts inherit it. Sharding needs several devices to mean anything;
# 8 is the number of a TPU host.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(REPOSITORY / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

# The first example of a property compiles, so no single one can have a deadline; a failure must come back on every run.
hypothesis.settings.register_profile("jaxeap", deadline=None, derandomize=True)
hypothesis.settings.load_profile("jaxeap")


@pytest.fixture(scope="module", autouse=True)
def no_silent_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuses broadcasting between ranks and mixing of dtypes, both of which hide mistakes.

    A [B] array against a [B, T] one, or bfloat16 against float32, yields numbers of the right shape and the wrong
    meaning. optax's Adam raises floats to integer powers, so modules that train say
    `pytestmark = pytest.mark.standard_promotion`; ranks are checked there all the same.
    """
    dtypes = "standard" if request.node.get_closest_marker("standard_promotion") else "strict"
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion(dtypes):
        yield


@pytest.fixture(scope="module", autouse=True)
def few_memory_mappings() -> Iterator[None]:
    """Lets go of compiled programs before they are too many.

    Linux allows a process 65,530 memory mappings by default, every program that XLA compiles takes some, and LLVM
    aborts the whole run at the first one refused. Clearing after each module would compile what modules share anew.
    """
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and mappings.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Outputs of Hugging Face transformers and of published attribution code on tiny random models."""
    return _beside_repository("reference")


@pytest.fixture(scope="session")
def shared_data_dir() -> Path:
    """Question sets as JSON lines."""
    return _beside_repository("data")


def _beside_repository(name: str) -> Path:
    folder = REPOSITORY.parent / "shared" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: the shared test data stand beside the repository, not in it")
    return folder
