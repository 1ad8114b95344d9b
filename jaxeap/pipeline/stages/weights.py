"""What training changed in the weights themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxeap.models.manifest import MANIFEST
from jaxeap.pipeline.inputs.pair import sources_of
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.storage.artifacts import read_json
from jaxeap.report import notation
from jaxeap.report.files import write_markdown_text
from jaxeap.report.weight_contrast import NUMBERS, TABLE, write_weight_contrast
from jaxeap.weights.contrast import contrast_weights


def weights_of(folder: Path) -> dict[str, Any] | None:
    """weights.json of the finished stage's folder; None where the weights were not compared."""
    return read_json(folder / NUMBERS) if (folder / NUMBERS).is_file() else None


def contrast_pair_weights(run: StageRun) -> None:
    """Writes weights.json, weights.md and weights.png; of converted checkpoints a weights.md that says what to do."""
    base, tuned = sources_of(run.config).values()
    converted = [str(source.folder) for source in (base, tuned) if (source.model_folder / MANIFEST).is_file()]
    if converted:
        verb = "is" if len(converted) == 1 else "are"
        note = (
            f"Weights were not compared: {' and '.join(converted)} {verb} converted. `python -m jaxeap.weights` "
            "compares the Hugging Face folders, which `python -m checkpoint_convert --to-hf` gives back.\n"
        )
        write_markdown_text(run.folder / TABLE, note)
        run.say(note.strip())
        return
    found = contrast_weights(
        base.folder,
        tuned.folder,
        rank=run.config.weights.rank,
        base_adapts=base.adapted,
        tuned_adapts=tuned.adapted,
    )
    write_weight_contrast(run.folder, found)
    total, share = found.total, notation.share(found.total.changed_share)
    run.say(f"weights: {share} of {total.entries} entries are another number in {total.dtype}")


WEIGHTS = Stage(
    name="weights",
    make=contrast_pair_weights,
    reads=("base", "tuned", "weights.rank"),
    tuning=("adapter_base",),
)
