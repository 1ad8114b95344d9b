"""One lineage through SFT, DPO and RLVR: Tulu 3 8B (Llama 3.1).

What:       which step of a lineage changed the circuits, with one base, one tokenizer and one data mix for all steps:
            the pairs SFT to DPO, DPO to RLVR, and SFT to RLVR. The paper compares methods across unrelated models.
Paper row:  none; the models are those of arXiv 2411.15124.
Command:    python run.py --config=configs/lineage/tulu3.py --workdir=DIR \\
                --config.grid.datasets.gsm8k.question_revision=COMMIT \\
                --config.grid.datasets.math.question_revision=COMMIT
            Add --dry_run for the plan alone.
Hardware:   one 80 GB GPU; 8 B parameters.
Time:       not measured at this size; --dry_run prints the plan's estimate.
Needs:      pip install -r requirements/math.txt -r requirements/data.txt
"""

import ml_collections

from configs import qwen_grpo
from jaxeap.pipeline.grid import grid_config

TULU = "hub:allenai/Llama-3.1-Tulu-3-8B"


def get_config() -> ml_collections.ConfigDict:
    shared = qwen_grpo.get_config()
    shared.template = "chat"
    shared.sampling.max_new_tokens = 2048
    shared.sampling.batch_size = 64
    shared.sampling.cache_tokens = 65_536  # 8.6 GB.
    shared.plan.answer_tokens = 400
    return grid_config(
        shared,
        pairs={
            "sft_to_dpo": {"base": f"{TULU}-SFT", "tuned": f"{TULU}-DPO"},
            "dpo_to_rlvr": {"base": f"{TULU}-DPO", "tuned": TULU},
            "sft_to_rlvr": {"base": f"{TULU}-SFT", "tuned": TULU},
        },
        datasets={"gsm8k": {"questions": "hub:gsm8k"}, "math": {"questions": "hub:math"}},
        alphas=(0.1, 0.3),
    )
