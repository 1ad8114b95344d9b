"""run.py in a process that may not write below a folder: `python host_run.py FOLDER ARGUMENTS`; "" is no folder.

Where the environment has JAXEAP_TEST_ROWS, devices have no memory for scoring more than so many rows at once.
"""

import importlib
import os
import runpy
import sys
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
ROWS = "JAXEAP_TEST_ROWS"
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate")


def forbid_writing(folder: Path) -> None:
    def look(event: str, arguments: tuple) -> None:
        if (event == "open" and arguments[2] & WRITES) or event in CHANGES:
            paths = [Path(os.fsdecode(a)).absolute() for a in arguments if isinstance(a, str | bytes | os.PathLike)]
            if any(path.is_relative_to(folder) for path in paths):
                raise AssertionError(f"{event} {paths}")

    sys.addaudithook(look)


def limit_rows(most: int) -> None:
    score = importlib.import_module("jaxeap.pipeline.scoring.score")
    attribute, jnp = score.attribute, importlib.import_module("jax.numpy")

    def limited(model, batch, **options):
        if batch.size > most:
            jnp.zeros((2**50,), jnp.uint8).block_until_ready()  # More than any address space has.
        return attribute(model, batch, **options)

    score.attribute = limited


if __name__ == "__main__":
    if ROWS in os.environ:
        limit_rows(int(os.environ[ROWS]))
    if sys.argv[1]:
        forbid_writing(Path(sys.argv[1]).absolute())
    run = Path(__file__).resolve().parents[2] / "run.py"
    sys.argv = [str(run), *sys.argv[2:]]
    runpy.run_path(str(run), run_name="__main__")
