"""python -m jaxeap.weights --base=FOLDER --tuned=FOLDER [--output=FOLDER] [--dtype=bfloat16] [--rank=64]"""

import jax
from absl import app, flags
from rich.console import Console

from jaxeap.report.weight_contrast import weight_table, write_weight_contrast
from jaxeap.weights.contrast import contrast_weights

BASE = flags.DEFINE_string("base", None, "Hugging Face folder of the model before fine-tuning.", required=True)
TUNED = flags.DEFINE_string("tuned", None, "Hugging Face folder, or a LoRA adapter of base.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "Folder for weights.json, weights.md and weights.png.")
DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float32", "bfloat16", "float16"], "In which to count changes. Default: the coarser stored one."
)
RANK = flags.DEFINE_integer("rank", 64, "Singular values of each difference; 0 leaves them out.", lower_bound=0)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"arguments without a flag: {' '.join(argv[1:])}")
    jax.config.update("jax_platforms", "cpu")  # nothing is computed on a device
    try:
        contrast = contrast_weights(BASE.value, TUNED.value, DTYPE.value, rank=RANK.value)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"jaxeap.weights: {error}") from error
    Console(width=None if Console().is_terminal else 160).print(weight_table(contrast))
    if OUTPUT.value is not None:
        for path in write_weight_contrast(OUTPUT.value, contrast):
            print(path)


if __name__ == "__main__":
    app.run(main)
