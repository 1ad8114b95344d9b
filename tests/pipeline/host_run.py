"""run.py in a process that may not write below a folder: `python host_run.py FOLDER ARGUMENTS`; "" is no folder."""

import os
import runpy
import sys
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate")


def forbid_writing(folder: Path) -> None:
    def look(event: str, arguments: tuple) -> None:
        if (event == "open" and arguments[2] & WRITES) or event in CHANGES:
            paths = [Path(os.fsdecode(a)).absolute() for a in arguments if isinstance(a, str | bytes | os.PathLike)]
            if any(path.is_relative_to(folder) for path in paths):
                raise AssertionError(f"{event} {paths}")

    sys.addaudithook(look)


if __name__ == "__main__":
    if sys.argv[1]:
        forbid_writing(Path(sys.argv[1]).absolute())
    run = Path(__file__).resolve().parents[2] / "run.py"
    sys.argv = [str(run), *sys.argv[2:]]
    runpy.run_path(str(run), run_name="__main__")
