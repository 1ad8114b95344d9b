"""The peers' way with TransformerLens, on the weights, tokens and scores of a benchmark row.

Run by `benchmarks.attribution --peer_python=EXE` in an environment that has transformer-lens 2.16, never by jaxeap:
python peer_transformer_lens.py FILE.npz REPEATS. All source outputs are held as [batch, position, source, width] while
hooks on the backward pass contract them with each destination's gradient, and the backward pass computes weight
gradients, as EAP-IG (arXiv 2403.17806) does.
"""

import json
import resource
import statistics
import sys
import time

import numpy as np
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig


def build(arrays: dict, heads: int, kv_heads: int) -> HookedTransformer:
    """A HookedTransformer with our weights, key/value heads copied to query heads as the peers do."""
    layers, width, _, head_dim = arrays["layers/query"].shape
    vocab, mlp = arrays["embedding"].shape[0], arrays["layers/gate"].shape[-1]
    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=layers, d_model=width, n_ctx=512, d_head=head_dim, n_heads=heads, n_key_value_heads=kv_heads,
            d_mlp=mlp, d_vocab=vocab, act_fn="silu", gated_mlp=True, normalization_type="RMS", final_rms=True, eps=1e-6,
            positional_embedding_type="rotary", rotary_base=10000, rotary_dim=head_dim, rotary_adjacent_pairs=False,
            use_split_qkv_input=True, use_hook_mlp_in=True, use_attn_result=True,
            ungroup_grouped_query_attention=True, device="cpu", dtype=torch.float32, init_weights=False,
        )
    )  # fmt: skip
    tensor = {name: torch.tensor(array) for name, array in arrays.items()}
    state = {"embed.W_E": tensor["embedding"], "ln_final.w": tensor["final_norm"]}
    state["unembed.W_U"] = tensor["embedding"].T.contiguous()
    state["unembed.b_U"] = torch.zeros(vocab)
    for layer in range(layers):
        own = {name.removeprefix("layers/"): t[layer] for name, t in tensor.items() if name.startswith("layers/")}
        at = f"blocks.{layer}."
        state[at + "ln1.w"], state[at + "ln2.w"] = own["attention_norm"], own["mlp_norm"]
        for ours, theirs in (("query", "W_Q"), ("key", "_W_K"), ("value", "_W_V")):
            state[at + f"attn.{theirs}"] = own[ours].permute(1, 0, 2).contiguous()
            state[at + f"attn.{theirs.replace('W', 'b')}"] = own[f"{ours}_bias"]
        state[at + "attn.W_O"], state[at + "attn.b_O"] = own["output"], torch.zeros(width)
        state[at + "mlp.W_gate"], state[at + "mlp.W_in"] = own["gate"], own["up"]
        state[at + "mlp.W_out"], state[at + "mlp.b_in"] = own["down"], torch.zeros(mlp)
        state[at + "mlp.b_out"] = torch.zeros(width)
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith(("rotary_sin", "rotary_cos", "mask", "IGNORE"))]
    if missing or unexpected:
        raise ValueError(f"weights do not fit TransformerLens: missing {missing}, unexpected {unexpected}")
    return model


def mean_loss(model: HookedTransformer, arrays: dict) -> torch.Tensor:
    """[B] mean -log p of the counted tokens."""
    logits = model(torch.tensor(arrays["tokens"]).long(), return_type="logits", prepend_bos=False)
    first, targets = int(arrays["first"][0]), torch.tensor(arrays["targets"]).long()
    predicted = logits[:, first - 1 : first - 1 + targets.shape[1]].log_softmax(-1)
    return -predicted.gather(-1, targets[..., None])[..., 0].mean(-1)


def scores(model: HookedTransformer, arrays: dict, level: str) -> np.ndarray:
    """Zero-ablation EAP scores [S, J] summed over the batch; key/value columns stand for copies a query head."""
    cfg = model.cfg
    per_layer = cfg.n_heads if level == "head" else 1
    sources, readers = 1 + cfg.n_layers * (per_layer + 1), cfg.n_layers * (3 * per_layer + 1) + 1
    batch, length = arrays["tokens"].shape
    held = torch.zeros(batch, length, sources, cfg.d_model)
    result = torch.zeros(sources, readers)
    hooks_forward, hooks_backward = [], []

    def keep(begin: int, width: int):
        def hook(value, hook):
            held[:, :, begin : begin + width] -= value.detach().reshape(batch, length, width, cfg.d_model)

        return hook

    def contract(begin: int, width: int, written: int):
        def hook(gradient, hook):
            gradient = gradient.detach().reshape(batch, length, -1, cfg.d_model)
            gradient = gradient if gradient.shape[2] == width else gradient.sum(2, keepdim=True)
            with torch.no_grad():
                result[:written, begin : begin + width] += torch.einsum("btsd,btjd->sj", held[:, :, :written], gradient)

        return hook

    hooks_forward.append(("hook_embed", keep(0, 1)))
    for layer in range(cfg.n_layers):
        at, row, column = f"blocks.{layer}.", 1 + layer * (per_layer + 1), layer * (3 * per_layer + 1)
        hooks_forward.append((at + ("attn.hook_result" if level == "head" else "hook_attn_out"), keep(row, per_layer)))
        hooks_forward.append((at + "hook_mlp_out", keep(row + per_layer, 1)))
        for index, letter in enumerate("qkv"):
            hooks_backward.append((at + f"hook_{letter}_input", contract(column + index * per_layer, per_layer, row)))
        hooks_backward.append((at + "hook_mlp_in", contract(column + 3 * per_layer, 1, row + per_layer)))
    hooks_backward.append((f"blocks.{cfg.n_layers - 1}.hook_resid_post", contract(readers - 1, 1, sources)))
    with model.hooks(fwd_hooks=hooks_forward, bwd_hooks=hooks_backward):
        mean_loss(model, arrays).sum().backward()
    model.zero_grad()
    return result.numpy()


def group(found: np.ndarray, heads: int, kv_heads: int, layers: int) -> np.ndarray:
    """Adds up the key/value columns of the query heads that share a key/value head."""
    columns = []
    for layer in range(layers):
        at = layer * (3 * heads + 1)
        columns.append(found[:, at : at + heads])
        for kind in (1, 2):
            copies = found[:, at + kind * heads : at + (kind + 1) * heads]
            columns.append(copies.reshape(len(found), kv_heads, heads // kv_heads).sum(-1))
        columns.append(found[:, at + 3 * heads : at + 3 * heads + 1])
    return np.concatenate([*columns, found[:, -1:]], axis=1)


def main() -> None:
    """Compares scores, then times; prints JSON."""
    arrays = dict(np.load(sys.argv[1]))
    heads, kv_heads = arrays["layers/query"].shape[2], arrays["layers/key"].shape[2]
    model = build({name: a for name, a in arrays.items() if "/" in name or name in ("embedding", "final_norm")},
                  heads, kv_heads)  # fmt: skip
    with torch.no_grad():
        loss_error = float(np.abs(mean_loss(model, arrays).numpy() - arrays["loss"]).max())
    figures = {"loss_error": loss_error}
    for level in ("block", "head"):
        # Without per-head results and private inputs the block-level pass is the cheaper one that its authors run.
        model.set_use_attn_result(level == "head")
        found = scores(model, arrays, level)
        if level == "head":
            found = group(found, heads, kv_heads, model.cfg.n_layers)
        expected = arrays[f"scores_{level}"]
        error = float(np.abs(found - expected).max() / np.abs(expected).max())
        if error > 1e-4:
            raise ValueError(f"{level}-level scores differ by {error:.1e} of the largest: nothing to time")
        seconds = []
        for _ in range(int(sys.argv[2])):
            start = time.perf_counter()
            scores(model, arrays, level)
            seconds.append(time.perf_counter() - start)
        figures[level] = {"score_error": error, "median_s": statistics.median(seconds),
                          "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
