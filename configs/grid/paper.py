"""The full Table 1: the paper's four pairs, three of its sets of questions, four truncation lengths.

Paper row:  arXiv 2509.21044, Table 1. The four cells of it whose figures are known here are printed under their
            reproduction (jaxeap/report/published.py).
Command:    python run.py --config=configs/grid/paper.py --workdir=DIR \\
                --config.grid.datasets.gsm8k.question_revision=COMMIT \\
                --config.grid.datasets.math.question_revision=COMMIT \\
                --config.grid.datasets.college_math.question_revision=COMMIT
            One pair: --config.grid.only="('mistral/*',)". The four known cells: --config.grid.only="(
            'deepseek_math/math/alpha_0.1', 'mistral/math/alpha_0.3', 'distilled_qwen/gsm8k/alpha_0.1',
            'qwen25/college_math/alpha_0.3')". Add --dry_run for the plan alone.
            Folders: --config.grid.pairs.mistral.base=FOLDER; a file: --config.grid.datasets.math.questions=FILE.jsonl
            --config.grid.datasets.math.question_set=math
Hardware:   one 80 GB GPU, or a TPU v5e-8 or v4-8 (docs/reproduce.md).
Time:       not measured at this size; docs/reproduce.md has the plan's figures, which rest on supposed rates. Answers
            are written once for all truncation lengths of a pair and set.
Needs:      pip install -r requirements/math.txt -r requirements/data.txt

The settings of the pairs are those of configs/paper.
"""

import ml_collections

from configs import qwen_grpo
from configs.paper import deepseek_math, distilled_qwen, mistral, qwen25
from jaxeap.pipeline.grid import grid_config
from jaxeap.pipeline.settings import flat

PAIRS = {
    "deepseek_math": deepseek_math,
    "mistral": mistral,
    "distilled_qwen": distilled_qwen,
    "qwen25": qwen25,
}
OF_A_PAIR = (
    "base",
    "tuned",
    "template",
    "sampling.max_new_tokens",
    "sampling.batch_size",
    "sampling.cache_tokens",
    "plan.answer_tokens",
)
DATASETS = ("gsm8k", "math", "college_math")
ALPHAS = (0.03, 0.1, 0.3, 0.5)


def get_config() -> ml_collections.ConfigDict:
    settings = {name: flat(module.get_config()) for name, module in PAIRS.items()}
    pairs = {name: {key: own[key] for key in OF_A_PAIR} for name, own in settings.items()}
    datasets = {name: {"questions": f"hub:{name}"} for name in DATASETS}
    return grid_config(qwen_grpo.get_config(), pairs, datasets, ALPHAS)
