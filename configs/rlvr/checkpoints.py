"""A series of checkpoints of one run: how the circuits move while RLVR goes on, with one base for all of them.

What:       1.5B, PPO with verifiable rewards (expx/qwen-2.5-1.5b-rlvr-ppo) from its supervised start. Its page on the
            Hub says that the run's checkpoints are branches named step-*, the last one being main.
Paper row:  none; the paper compares end points only.
Command:    python run.py --config=configs/rlvr/checkpoints.py:step-100,step-200,main --workdir=DIR \\
                --config.grid.datasets.gsm8k.question_revision=COMMIT
            What follows the colon are revisions on the Hub: branches, tags or commits, in their order; main alone
            where there is none. Add --dry_run for the plan alone.
Hardware:   one GPU with 24 GB.
Time:       not measured at this size; --dry_run prints the plan's estimate. The base answers anew for every checkpoint.
Needs:      pip install -r requirements/math.txt -r requirements/data.txt

Another run: --config.grid.pairs.NAME.tuned=hub:OWNER/NAME@REVISION, or a copy of this file.
"""

import ml_collections

from configs import qwen_grpo
from jaxeap.pipeline.grid import grid_config

BASE = "hub:ns-0/qwen-2.5-1.5b-instruct-reasoning-sft"
RUN = "hub:expx/qwen-2.5-1.5b-rlvr-ppo"


def get_config(revisions: str = "main") -> ml_collections.ConfigDict:
    shared = qwen_grpo.get_config()
    shared.template = "chat"
    shared.sampling.max_new_tokens = 4096
    shared.sampling.batch_size = 64
    shared.sampling.cache_tokens = 65_536  # 1.9 GB.
    shared.attribution.batch_size = 4
    shared.plan.answer_tokens = 600
    named = {revision.replace("-", "_"): revision for revision in revisions.split(",")}
    return grid_config(
        shared,
        pairs={name: {"base": BASE, "tuned": f"{RUN}@{revision}"} for name, revision in named.items()},
        datasets={"gsm8k": {"questions": "hub:gsm8k"}},
        alphas=(0.1,),
    )
