"""The demo: what GRPO changed in a tiny model that learned two-digit arithmetic.

Paper row:  none; the experiment of arXiv 2509.21044 (Table 1, GRPO) in small. Both models were really trained (see
            pairs/arithmetic): `base` by supervised fine-tuning on demonstrations that conflict, `tuned` from it by
            GRPO.
Questions:  held-out additions and subtractions of three levels (no carry, carry, chain of carries).
Command:    python run.py --config=configs/tiny_grpo.py --workdir=workdirs/tiny_grpo      (or: make demo)
Hardware:   any; two CPU cores and 2 GB of memory are enough.
Time:       under a minute there, much of it compilation.
Null pair:  base against the same after more supervised training (configs/tiny_sft.py), contrasted first, in some ten
            seconds; --config.controls.null_tuned=none goes without.

Answers have four tokens, so all of them are counted (alpha = 1); the paper's 0.1 would leave one. The pair is far
smaller than the paper's models: what it shows is that the machinery runs, not that the paper's effect is general.
"""

from pathlib import Path

import ml_collections

from jaxeap.pipeline.settings import default_config

PAIR = Path(__file__).resolve().parents[1] / "pairs" / "arithmetic"


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.base = str(PAIR / "base")
    config.tuned = str(PAIR / "grpo")
    config.questions = "arithmetic:test"
    config.num_questions = 300
    config.sampling.max_new_tokens = 6  # Right answers have four tokens, the end included.
    config.sampling.batch_size = 128
    config.selection.alpha = 1.0
    config.attribution.batch_size = 32
    config.contrast.position_bands = 2
    config.controls.null_tuned = str(PAIR / "sft_more")
    return config
