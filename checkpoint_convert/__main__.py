"""python -m checkpoint_convert --source=HF_FOLDER --target=OUT [--dtype=bfloat16]"""

import jax
from absl import app, flags, logging

from checkpoint_convert.conversion import convert

SOURCE = flags.DEFINE_string("source", None, "Hugging Face folder: config.json and safetensors.", required=True)
TARGET = flags.DEFINE_string("target", None, "Folder to make; must not exist yet.", required=True)
DTYPE = flags.DEFINE_enum("dtype", None, ["float32", "bfloat16", "float16"], "Stored dtype. Default: the source's own.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"arguments without a flag: {' '.join(argv[1:])}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # absl's own default is INFO, where Orbax tells of every file
    # Nothing is computed, and an accelerator that some other program is using shall stay free.
    jax.config.update("jax_platforms", "cpu")
    try:
        convert(SOURCE.value, TARGET.value, DTYPE.value)
    except (FileExistsError, FileNotFoundError, ValueError) as error:
        raise SystemExit(f"checkpoint_convert: {error}") from error
    print(f"{SOURCE.value} -> {TARGET.value}")


if __name__ == "__main__":
    app.run(main)
