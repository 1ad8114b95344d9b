"""python -m checkpoint_convert --source=HF_FOLDER --target=OUT [--dtype=bfloat16] [--verify] [--dry-run] [--to-hf]"""

from pathlib import Path

import jax
from absl import app, flags, logging

from checkpoint_convert.conversion import convert
from checkpoint_convert.plan import plan_conversion
from checkpoint_convert.to_hugging_face import to_hugging_face
from checkpoint_convert.verification import verify
from jaxeap.models.hub import local_folder

SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Hugging Face folder (config.json and safetensors), or owner/name on its Hub. With --to-hf: a converted folder.",
    required=True,
)
TARGET = flags.DEFINE_string("target", None, "Folder to make; must not exist yet. Not needed with --dry-run.")
DTYPE = flags.DEFINE_enum("dtype", None, ["float32", "bfloat16", "float16"], "Stored dtype. Default: the source's own.")
BASE = flags.DEFINE_string("base", None, "Where --source is a LoRA adapter: its base model's Hugging Face folder.")
REVISION = flags.DEFINE_string("revision", None, "Branch, tag or commit, where --source is on the Hub.")
VERIFY = flags.DEFINE_bool(
    "verify", False, "Read everything back and compare every tensor. A target that exists already is compared alone."
)
DRY_RUN = flags.DEFINE_bool("dry-run", False, "Print what maps to what, with shapes and bytes, and write nothing.")
TO_HF = flags.DEFINE_bool("to-hf", False, "Write a Hugging Face folder from a converted checkpoint.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"arguments without a flag: {' '.join(argv[1:])}")
    if TO_HF.value and (DTYPE.value or BASE.value or REVISION.value or VERIFY.value or DRY_RUN.value):
        raise app.UsageError("--to-hf writes the stored bits of a local folder: give it --source and --target alone")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # absl's own default is INFO, where Orbax tells of every file
    # Nothing is computed, and an accelerator that some other program is using shall stay free.
    jax.config.update("jax_platforms", "cpu")
    try:
        print(_run(SOURCE.value, TARGET.value))
    except (FileExistsError, FileNotFoundError, ValueError) as error:
        raise SystemExit(f"checkpoint_convert: {error}") from error


def _run(source: str, target: str | None) -> str:
    """What to print in the end."""
    if DRY_RUN.value:
        return plan_conversion(local_folder(source, REVISION.value), DTYPE.value, BASE.value).describe()
    if target is None:
        raise app.UsageError("flag --target must have a value, except with --dry-run")
    if TO_HF.value:
        to_hugging_face(source, target)
        return f"{source} -> {target}"
    folder = local_folder(source, REVISION.value)
    if VERIFY.value and Path(target).exists():
        verify(plan_conversion(folder, DTYPE.value, BASE.value), Path(target))
        return f"{target} holds every tensor of {source}"
    convert(folder, target, DTYPE.value, VERIFY.value, BASE.value)
    return f"{source} -> {target}" + (", every tensor compared" if VERIFY.value else "")


if __name__ == "__main__":
    app.run(main)
