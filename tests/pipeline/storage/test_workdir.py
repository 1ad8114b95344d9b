import json
import os
import subprocess
import sys

import pytest

from jaxeap.pipeline.storage.workdir import LOCK, MARKER, open_workdir, require_free, supersede


def test_new_workdir_is_made_and_marked(tmp_path):
    with open_workdir(tmp_path / "a" / "b") as workdir:
        assert (workdir / MARKER).is_file()
    with open_workdir(tmp_path / "a" / "b"):
        pass


def test_second_run_is_refused_and_told_who_has_it(tmp_path):
    with open_workdir(tmp_path), pytest.raises(ValueError, match=f'in use by another run .*"pid": {os.getpid()}'):
        open_workdir(tmp_path).__enter__()


def test_one_in_use_is_known_before_anything_is_planned(tmp_path):
    require_free(tmp_path / "none yet")
    assert not (tmp_path / "none yet").exists()
    with open_workdir(tmp_path), pytest.raises(ValueError, match="in use by another run"):
        require_free(tmp_path)
    require_free(tmp_path)
    with open_workdir(tmp_path):
        pass


def test_lock_is_released_after_an_error(tmp_path):
    with pytest.raises(KeyError), open_workdir(tmp_path):
        raise KeyError
    with open_workdir(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_lock_of_a_killed_process_is_taken_over(tmp_path):
    program = (
        "import os, sys, signal; from jaxeap.pipeline.storage.workdir import open_workdir\n"
        "with open_workdir(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=120)
    left = json.loads((tmp_path / LOCK).read_text())
    assert left["pid"] != os.getpid()
    with open_workdir(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_folder_of_something_else_is_refused_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"not a work directory of jaxeap and not empty \(it holds thesis.tex\)"):
        open_workdir(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_file_and_other_formats_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        open_workdir(tmp_path / "file").__enter__()
    with pytest.raises(ValueError, match=r"below cannot be made \(not a directory\); give another --workdir"):
        open_workdir(tmp_path / "file" / "below").__enter__()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / MARKER).write_text('{"format": 0}')
    with pytest.raises(ValueError, match="has format 0"):
        open_workdir(tmp_path / "old").__enter__()


def test_superseded_results_are_kept_in_a_folder_of_their_own(tmp_path):
    for round_ in (1, 2):
        (tmp_path / "select").mkdir()
        (tmp_path / "select" / "x").write_text(str(round_))
        (tmp_path / "table.md").write_text(str(round_))
        assert supersede(tmp_path, ["select", "table.md", "report"]) == tmp_path / "superseded" / str(round_)
    for round_ in (1, 2):
        kept = tmp_path / "superseded" / str(round_)
        assert (kept / "select" / "x").read_text() == (kept / "table.md").read_text() == str(round_)
    assert supersede(tmp_path, ["select"]) is None
    assert not (tmp_path / "select").exists()
