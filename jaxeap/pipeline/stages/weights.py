"""What training changed in the weights themselves."""

from __future__ import annotations

from jaxeap.models.manifest import MANIFEST
from jaxeap.pipeline.pair import sources_of
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.report.files import write_markdown_text
from jaxeap.report.weight_contrast import TABLE, write_weight_contrast
from jaxeap.weights.contrast import contrast_weights


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
    total = found.total
    run.say(f"weights: {total.changed_share:.1%} of {total.entries} entries are another number in {total.dtype}")


WEIGHTS = Stage(
    name="weights",
    make=contrast_pair_weights,
    reads=("base", "tuned", "weights.rank"),
    tuning=("adapter_base",),
)
