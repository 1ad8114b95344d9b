"""Block-level EAP scores from Hugging Face's own modules in float64, with hooks: the truth for families.

Every destination is given a zero tensor of its own, added to what it alone reads; torch differentiates by that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

READERS = ("q", "k", "v")


def block_scores(model: Any, tokens: np.ndarray, start: int) -> tuple[np.ndarray, float]:
    """Scores [S, J] of zero ablation for one sequence whose tokens from `start` on are counted, and the loss.

    Args:
      model: a float64 transformers decoder whose layers have `self_attn.q_proj`, `k_proj` and `v_proj` and an `mlp`.
      tokens: [T].
      start: of the counted tokens.
    """
    import torch

    width, length = model.config.hidden_size, len(tokens) - 1
    taps: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    residual: dict[int, Any] = {}
    handles = []

    def tap(name: str) -> Any:
        taps[name] = torch.zeros(1, length, width, dtype=torch.float64, requires_grad=True)
        return taps[name]

    def keep(name: str) -> Callable[..., None]:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            outputs[name] = output[0] if isinstance(output, tuple) else output

        return hook

    def moved(name: str) -> Callable[..., Any]:
        added = tap(name)
        return lambda module, inputs: (inputs[0] + added, *inputs[1:])

    def reading(index: int, norm: Any, name: str) -> Callable[..., Any]:
        added = tap(name)

        def hook(module: Any, inputs: Any) -> Any:
            own = residual[index] + added
            return (own if norm is None else norm(own),)

        return hook

    def remember(index: int) -> Callable[..., None]:
        def hook(module: Any, inputs: Any, named: Any) -> None:
            residual[index] = inputs[0] if inputs else named["hidden_states"]

        return hook

    def part(layer: Any, *names: str) -> Any:
        return next((getattr(layer, name) for name in names if hasattr(layer, name)), None)

    decoder = model.model
    handles.append(decoder.embed_tokens.register_forward_hook(keep("embed")))
    for index, layer in enumerate(decoder.layers):
        handles.append(layer.register_forward_pre_hook(remember(index), with_kwargs=True))
        norm = part(layer, "input_layernorm")
        for letter in READERS:
            projection = getattr(layer.self_attn, f"{letter}_proj")
            handles.append(projection.register_forward_pre_hook(reading(index, norm, f"a{index}<{letter}>")))
        after = hasattr(layer, "post_feedforward_layernorm")
        writer = layer.post_attention_layernorm if after else layer.self_attn
        handles.append(writer.register_forward_hook(keep(f"a{index}")))
        reader = part(layer, "pre_feedforward_layernorm") or (layer.mlp if after else layer.post_attention_layernorm)
        handles.append(reader.register_forward_pre_hook(moved(f"m{index}")))
        writer = layer.post_feedforward_layernorm if after else layer.mlp
        handles.append(writer.register_forward_hook(keep(f"m{index}")))
    handles.append(decoder.norm.register_forward_pre_hook(moved("logits")))
    try:
        logits = model(torch.tensor(tokens[None, :-1], dtype=torch.long)).logits[0, start - 1 :]
        targets = torch.tensor(tokens[start:], dtype=torch.long)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        gradients = torch.autograd.grad(loss, list(taps.values()), allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    written = np.stack([output[0].detach().numpy() for output in outputs.values()])
    read = np.stack([gradient[0].numpy() for gradient in gradients])
    return -np.einsum("std,jtd->sj", written, read), float(loss.detach())
