"""Prompt templates by name: those that the paper's models were given, and the tokenizer's own chat template.

The paper (arXiv 2509.21044) let the evaluation scripts of Qwen2.5-Math write the prompts, without examples: both
DeepSeek-Math models, and DeepSeek-R1-Distill-Qwen-7B with AceReason-Nemotron-7B, were given `deepseek-math`, the
Mistral pair of Math-Shepherd `mistral`, and the Qwen2.5 pair `qwen25-math-cot`. `shepherd` is what those scripts have
for Math-Shepherd's models themselves.

Special tokens that a template writes out are read as such. A beginning-of-text token is none of a template's business:
the tokenizer says whether there is one.
"""

from __future__ import annotations

import types
from collections.abc import Mapping

QUESTION = "{question}"
"""What a template has in the place of the question; other braces stand for themselves."""
CHAT = "chat"
"""The question as a user's message in the tokenizer's own chat template."""

STEP_BY_STEP = "Please reason step by step, and put your final answer within \\boxed{}."

TEMPLATES: Mapping[str, str] = types.MappingProxyType(
    {
        "deepseek-math": f"User: {QUESTION}\n{STEP_BY_STEP}\n\nAssistant:",
        "mistral": f"[INST] {QUESTION}[/INST]",
        "shepherd": f"{QUESTION}\n",
        "qwen25-math-cot": (
            f"<|im_start|>system\n{STEP_BY_STEP}<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n"
            "<|im_start|>assistant\n"
        ),
        CHAT: QUESTION,
    }
)


def resolve_template(template: str, chat_template: bool) -> tuple[str, bool]:
    """The text of a template and whether it is a message in the tokenizer's chat template.

    Args:
      template: a name in `TEMPLATES`, or a text with "{question}" in it.
      chat_template: whether a text is a message; `chat` is one in any case.

    Raises:
      ValueError: there is no such template, or a whole prompt would be put into a chat template.
    """
    if template in TEMPLATES:
        if chat_template and template != CHAT:
            raise ValueError(
                f"the template {template!r} is a whole prompt, so it cannot be a message in the tokenizer's chat "
                f"template as well; leave that off, or take the template {CHAT!r}"
            )
        return TEMPLATES[template], template == CHAT
    if QUESTION not in template:
        raise ValueError(
            f"the template is {template!r}; it must hold {QUESTION}, where the question goes, or be one of "
            f"{', '.join(TEMPLATES)}"
        )
    return template, chat_template
