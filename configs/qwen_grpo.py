"""The flagship: a Qwen2-shaped reasoning model before and after GRPO, on mathematics.

Paper row:  arXiv 2509.21044, Table 1, Distilled-Qwen, GSM8K, alpha 0.1 (GRPO): activation intensity 6.71e-4 to 7.72e-4,
            information complexity 0.160 to 0.264, distribution kurtosis 766 to 560.
Pair:       base   deepseek-ai/DeepSeek-R1-Distill-Qwen-7B
            tuned  nvidia/AceReason-Nemotron-7B
            by their names on the Hub, or as folders in Hugging Face form (`hf download NAME --local-dir FOLDER`). Any
            Llama-, Mistral- or Qwen2-shaped pair of one architecture will do.
Command:    python run.py --config=configs/qwen_grpo.py --workdir=DIR \
                --config.base=FOLDER --config.tuned=FOLDER --config.questions=gsm8k_test.jsonl
            --dry_run prints the plan alone. Without folders the models come from the Hub, without a file the questions
            do: --config.question_revision=COMMIT pins them.
Hardware:   one 80 GB GPU for 7B (15 GB of weights, one model in memory at a time, the rest for cache and captures).
            `--config.sampling.batch_size`, `--config.sampling.cache_tokens` and `--config.attribution.batch_size` trade
            speed for memory and change no result beyond rounding; `--config.mesh.fsdp` and `--config.mesh.tensor` cut
            the weights over devices.
Time:       not measured yet at this size; docs/reproduce.md has the plan's figures, which rest on supposed rates.
            Nearly all of it goes into writing the answers, up to 32768 tokens each, for every question; scoring takes
            one forward and one backward pass over some hundred tokens a question.
Needs:      pip install -r requirements/math.txt (answers are graded by value), and -r requirements/data.txt for
            questions from the Hub.

The paper generated greedily, up to 32768 tokens for this pair, with DeepSeek-Math's prompt and not the models' chat
template; compared 100 questions that both models answered rightly, and counted the first tenth of the answers. Equal
numbers are not to be expected: its scores were accumulated in bfloat16.
"""

import ml_collections

from jaxeap.pipeline.settings import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.base = "hub:deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
    config.tuned = "hub:nvidia/AceReason-Nemotron-7B"
    config.questions = "hub:gsm8k"
    config.dtype = "bfloat16"
    config.num_questions = 400
    config.template = "deepseek-math"
    config.sampling.max_new_tokens = 32768
    config.sampling.batch_size = 32
    config.sampling.cache_tokens = 262_144  # 15 GB: 8 answers of full length at once, or 32 of 8000 tokens.
    config.grader = "math"
    config.selection.alpha = 0.1
    config.selection.max_pairs = 100
    config.attribution.batch_size = 4
    config.plan.answer_tokens = 1000  # Reasoning models write more; supposed, not measured.
    return config
