"""What an interrupted run left is damaged before it goes on: it says so, computes that again, and ends as ever."""

from pathlib import Path

import pytest

from jaxeap.pipeline import run_pipeline
from tests.pipeline.survival.killing import results
from tests.pipeline.test_runner import Interrupted, interrupt_at


def flip(path: Path, place: int) -> None:
    """Changes one bit."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Takes the last half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_every_part_of_a_result_may_be_damaged(parted, whole, console, tmp_path, monkeypatch):
    workdir = tmp_path / "w"

    def interrupted(target: str, call: int) -> None:
        with monkeypatch.context() as patched:
            interrupt_at(patched, target, call)
            with pytest.raises(Interrupted):
                run_pipeline(parted, workdir, console)

    damaged = []

    def damage(name: str, how=lambda path: flip(path, -3)) -> None:
        damaged.append(workdir / name)
        how(workdir / name)

    interrupted("jaxeap.pipeline.stages.respond._write_part", 3)
    damage("respond/base_parts/00000.jsonl", lambda path: flip(path, 40))
    damage("respond/base_parts/00001.jsonl", cut)
    interrupted("jaxeap.pipeline.scoring.score.attribute", 12)
    cells = [
        workdir / "attribute" / name for name in ("base_on_base_text", "base_on_tuned_text", "tuned_on_tuned_text")
    ]
    for cell in cells:
        assert len(list(cell.iterdir())) >= 2
    damage("attribute/base_on_base_text/00001.safetensors")
    damage("attribute/base_on_base_text/00003.safetensors", cut)
    damage("attribute/base_on_tuned_text/00000.safetensors", lambda path: path.write_bytes(b""))
    extra = workdir / "attribute" / "tuned_on_tuned_text" / "00007.safetensors"
    extra.write_bytes((extra.parent / "00000.safetensors").read_bytes())
    interrupted("jaxeap.pipeline.stages.audit.attribute", 3)
    damage("audit/base_parts/00000.safetensors")
    interrupted("jaxeap.pipeline.stages.divergence.predicting_residuals", 4)
    first = min((workdir / "divergence" / "residuals").rglob("*.safetensors"))
    damage(str(first.relative_to(workdir)))
    run_pipeline(parted, workdir, console)
    assert results(workdir) == whole
    said = console.file.getvalue().splitlines()
    for path in damaged:
        assert sum(str(path) in line and "damaged" in line for line in said) == 1, path
    assert sum(str(extra) in line and "stand in shards before it" in line for line in said) == 1


def test_parts_of_other_questions_are_not_gone_on_from(parted, console, tmp_path, monkeypatch):
    """Such as a folder that was copied by hand."""
    other = parted.copy_and_resolve_references()
    other.question_seed = 1
    for name, settings in (("other", other), ("w", parted)):
        with monkeypatch.context() as patched:
            interrupt_at(patched, "jaxeap.pipeline.stages.respond._write_part", 2)
            with pytest.raises(Interrupted):
                run_pipeline(settings, tmp_path / name, console)
    part = "respond/base_parts/00000.jsonl"
    (tmp_path / "w" / part).write_bytes((tmp_path / "other" / part).read_bytes())
    with monkeypatch.context() as patched:
        interrupt_at(patched, "jaxeap.pipeline.stages.respond._write_part", 2)
        with pytest.raises(Interrupted):
            run_pipeline(parted, tmp_path / "w", console)
    assert f"{part} is not of this run's questions" in console.file.getvalue()
