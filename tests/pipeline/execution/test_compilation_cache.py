from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from jaxeap.pipeline.execution import compilation_cache
from jaxeap.pipeline.execution.compilation_cache import use_compilation_cache

OPTIONS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    values = {option: jax.config.values[option] for option in OPTIONS}
    yield
    for option, value in values.items():
        jax.config.update(option, value)


def used() -> str | None:
    return jax.config.values["jax_compilation_cache_dir"]


def test_folder_that_jax_was_told_of_stays(tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    assert use_compilation_cache("auto") == tmp_path
    assert used() == str(tmp_path)


@pytest.fixture
def nothing_told(monkeypatch) -> None:
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_automatic_folder_is_the_users(tmp_path, monkeypatch, nothing_told):
    monkeypatch.setattr(compilation_cache, "QUIET_ON_CPU", (0, 0))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    folder = use_compilation_cache("auto")
    assert folder is not None and folder.is_dir() and folder.is_relative_to(tmp_path / "home" / ".cache")
    assert used() == str(folder)
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = use_compilation_cache("auto")
    assert folder is not None and folder.is_dir() and folder.is_relative_to(tmp_path / "xdg")


def test_automatic_is_none_where_every_hit_would_be_reported_as_an_error(tmp_path, monkeypatch, nothing_told):
    monkeypatch.setattr(compilation_cache, "QUIET_ON_CPU", (99,))
    assert use_compilation_cache("auto") is None
    assert used() is None
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert use_compilation_cache("auto") is not None


def test_given_folder_and_none_at_all(tmp_path):
    assert use_compilation_cache(str(tmp_path / "mine")) == tmp_path / "mine"
    assert used() == str(tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="a file; give a folder"):
        use_compilation_cache(str(tmp_path / "file"))
    assert use_compilation_cache("") is None
    assert used() is None
