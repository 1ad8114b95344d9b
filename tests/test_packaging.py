"""The requirement files are the one source of versions, and they say what the code imports: no more, no less."""

import ast
import importlib.metadata
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[1]
EXTRAS = {path.stem: path for path in sorted((REPOSITORY / "requirements").glob("*.txt"))}
FIRST_PARTY = {"jaxeap", "checkpoint_convert", "configs"}


def _requirements(path: Path) -> dict[str, Requirement]:
    lines = [line.partition(" #")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    by_name = {canonicalize_name(requirement.name): requirement for requirement in requirements}
    assert len(by_name) == len(requirements), f"{path} names a package twice"
    return by_name


RUNTIME = _requirements(REPOSITORY / "requirements.txt")


def _imports(node: ast.AST, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """Top-level names of the modules imported below `node`, and whether only when some function is called."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name.partition(".")[0], lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
            yield child.module.partition(".")[0], lazy
        else:
            yield from _imports(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def _imported_distributions() -> Iterator[tuple[Path, str, bool]]:
    """Every third-party import of what runs outside the tests: file, canonical name of the distribution, laziness."""
    distributions = importlib.metadata.packages_distributions()
    sources = [path for folder in sorted(FIRST_PARTY) for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    for path in [*sources, REPOSITORY / "run.py"]:
        for module, lazy in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module not in sys.stdlib_module_names and module not in FIRST_PARTY:
                owners = {canonicalize_name(name) for name in distributions.get(module, [module])}
                required = owners & RUNTIME.keys()
                yield path.relative_to(REPOSITORY), min(required or owners), lazy


def test_pyproject_takes_every_version_from_the_requirement_files():
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert not {"dependencies", "optional-dependencies"} & pyproject["project"].keys()
    dynamic = pyproject["tool"]["setuptools"]["dynamic"]
    assert dynamic["dependencies"] == {"file": "requirements.txt"}
    assert dynamic["optional-dependencies"] == {name: {"file": f"requirements/{name}.txt"} for name in EXTRAS}


def test_installed_package_declares_the_requirement_files():
    try:
        declared = importlib.metadata.requires("jaxeap") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("jaxeap runs from its folder here, without having been installed; `make env` installs it")
    written = {str(requirement) for requirement in RUNTIME.values()}
    for extra, path in EXTRAS.items():
        for requirement in _requirements(path).values():
            marker = f"({requirement.marker}) and " if requirement.marker else ""
            requirement.marker = None
            written.add(str(Requirement(f'{requirement}; {marker}extra == "{extra}"')))
    assert {str(Requirement(line)) for line in declared} == written, "run `make env`: the requirement files are newer"


@pytest.mark.parametrize("version", ["0.10.2", "0.11.0"])
def test_jax_versions_that_compute_wrong_numbers_are_refused(version: str):
    assert version not in RUNTIME["jax"].specifier


@pytest.mark.parametrize("version", ["0.10.1", "0.11.1", "0.11.2", "0.12.0.1"])
def test_checked_jax_versions_are_accepted(version: str):
    assert version in RUNTIME["jax"].specifier


def test_main_requirements_run_on_a_cpu_and_extras_choose_the_accelerator_alone():
    assert not RUNTIME["jax"].extras
    for accelerator in ("cuda12", "tpu"):
        requirements = _requirements(EXTRAS[accelerator])
        assert list(requirements) == ["jax"]
        assert requirements["jax"].extras == {accelerator}
        assert not requirements["jax"].specifier, "the version is written in requirements.txt"


def test_torch_is_a_development_requirement_of_older_pythons_alone():
    assert [extra for extra, path in EXTRAS.items() if "torch" in _requirements(path)] == ["dev"]
    assert "torch" not in RUNTIME
    marker = _requirements(EXTRAS["dev"])["torch"].marker
    assert marker is not None
    assert marker.evaluate({"python_version": "3.11"})
    assert not marker.evaluate({"python_version": "3.12"})
    assert not marker.evaluate({"python_version": "3.13"})


def test_imports_are_required():
    optional = _requirements(EXTRAS["math"]).keys() | _requirements(EXTRAS["data"]).keys()
    missing = [
        f"{path} imports {name}"
        for path, name, lazy in _imported_distributions()
        if name not in RUNTIME and not (lazy and name in optional)
    ]
    assert not missing, "not in requirements.txt: " + ", ".join(missing)


def test_requirements_are_imported():
    imported = {name for _, name, _ in _imported_distributions()}
    assert not RUNTIME.keys() - imported, "in requirements.txt, and imported nowhere"
