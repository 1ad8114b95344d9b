"""What the package may import: it prepares data for any framework, so neither JAX nor the models."""

import ast
from pathlib import Path

import pytest

import jaxeap.tasks

FILES = sorted(Path(jaxeap.tasks.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_tasks_need_neither_jax_nor_the_models(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert all(name.split(".")[0] not in ("jax", "flax", "torch") for name in imported)
    assert all(name.startswith("jaxeap.tasks") for name in imported if name.split(".")[0] == "jaxeap")
