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

    def fused(index: int, layer: Any) -> Callable[..., Any]:
        """GPT-NeoX: each third of every head's rows reads a residual of its own."""
        added = [tap(f"a{index}<{letter}>") for letter in READERS]
        heads = model.config.num_attention_heads

        def hook(module: Any, inputs: Any, output: Any) -> Any:
            weight, bias = module.weight.view(heads, 3, -1, width), module.bias.view(heads, 3, -1)
            parts = [
                torch.einsum("btd,hkd->bthk", layer.input_layernorm(residual[index] + own), weight[:, third])
                + bias[:, third]
                for third, own in enumerate(added)
            ]
            return torch.stack(parts, dim=3).reshape(output.shape)

        return hook

    decoder = getattr(model, "model", None) or model.gpt_neox
    embedding, last = part(decoder, "embed_tokens", "embed_in"), part(decoder, "norm", "final_layer_norm")
    handles.append(embedding.register_forward_hook(keep("embed")))
    for index, layer in enumerate(decoder.layers):
        handles.append(layer.register_forward_pre_hook(remember(index), with_kwargs=True))
        norm = part(layer, "input_layernorm")
        attention = part(layer, "self_attn", "attention")
        if hasattr(attention, "query_key_value"):
            handles.append(attention.query_key_value.register_forward_hook(fused(index, layer)))
        for letter in READERS if hasattr(attention, "q_proj") else ():
            projection = getattr(attention, f"{letter}_proj")
            handles.append(projection.register_forward_pre_hook(reading(index, norm, f"a{index}<{letter}>")))
        after = hasattr(layer, "post_feedforward_layernorm")
        writer = layer.post_attention_layernorm if after else attention
        handles.append(writer.register_forward_hook(keep(f"a{index}")))
        reader = part(layer, "pre_feedforward_layernorm") or (layer.mlp if after else layer.post_attention_layernorm)
        handles.append(reader.register_forward_pre_hook(moved(f"m{index}")))
        writer = layer.post_feedforward_layernorm if after else layer.mlp
        handles.append(writer.register_forward_hook(keep(f"m{index}")))
    handles.append(last.register_forward_pre_hook(moved("logits")))
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
