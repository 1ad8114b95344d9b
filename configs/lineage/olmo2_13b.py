"""One lineage through SFT, DPO and RLVR: OLMo 2 13B.

What:       which step of a lineage changed the circuits, with one base, one tokenizer and one data mix for all steps:
            the pairs SFT to DPO, DPO to RLVR, and SFT to RLVR. The paper compares methods across unrelated models.
Paper row:  none; the models are those of arXiv 2501.00656.
Command:    python run.py --config=configs/lineage/olmo2_13b.py --workdir=DIR \\
                --config.grid.datasets.gsm8k.question_revision=COMMIT \\
                --config.grid.datasets.math.question_revision=COMMIT
            Add --dry_run for the plan alone.
Hardware:   one 80 GB GPU; 13.7 B parameters, 27 GB of weights.
Time:       not measured at this size; --dry_run prints the plan's estimate.
Needs:      pip install -r requirements/math.txt -r requirements/data.txt
"""

import ml_collections

from configs import qwen_grpo
from jaxeap.pipeline.grid import grid_config

OLMO = "hub:allenai/OLMo-2-1124-13B"


def get_config() -> ml_collections.ConfigDict:
    shared = qwen_grpo.get_config()
    shared.template = "chat"
    shared.sampling.max_new_tokens = 2048
    shared.sampling.batch_size = 16
    shared.sampling.cache_tokens = 16_384  # 13 GB.
    shared.attribution.batch_size = 2
    shared.plan.answer_tokens = 400
    return grid_config(
        shared,
        pairs={
            "sft_to_dpo": {"base": f"{OLMO}-SFT", "tuned": f"{OLMO}-DPO"},
            "dpo_to_rlvr": {"base": f"{OLMO}-DPO", "tuned": f"{OLMO}-Instruct"},
            "sft_to_rlvr": {"base": f"{OLMO}-SFT", "tuned": f"{OLMO}-Instruct"},
        },
        datasets={"gsm8k": {"questions": "hub:gsm8k"}, "math": {"questions": "hub:math"}},
        alphas=(0.1, 0.3),
    )
