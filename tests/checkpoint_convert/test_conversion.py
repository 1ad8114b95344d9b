"""The conversion: what it writes, and that it writes all or nothing."""

import gc
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from safetensors.numpy import save_file

from checkpoint_convert import conversion, convert, plan
from jaxeap.models.load import load_model
from jaxeap.models.manifest import MANIFEST, ManifestEntry, read_manifest
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_folder import list_tensors, read_tensor
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
COMPANIONS = {
    "generation_config.json": '{"eos_token_id": 2}',
    "tokenizer.json": '{"version": "1.0"}',
    "tokenizer_config.json": "{}",
    "special_tokens_map.json": "{}",
    "chat_template.jinja": "{{ messages }}",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards in bfloat16, with tokenizer files and things that are no business of ours."""
    attributes = attributes_of("qwen2")
    folder = write_checkpoint(
        tmp_path_factory.mktemp("source"), attributes, tensors_of(attributes, dtype=jnp.bfloat16), shards=2
    )
    for name, content in COMPANIONS.items():
        (folder / name).write_text(content)
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


@pytest.fixture(scope="module")
def converted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("converted") / "model"
    convert(source, target)
    return target


def assert_equal_bits(one: Path, other: Path) -> None:
    weights = [load_model(path, dtype=None).weights for path in (one, other)]
    chex.assert_trees_all_equal_shapes_and_dtypes(*weights)
    jax.tree.map(np.testing.assert_array_equal, *weights)


def test_bits_are_kept(source: Path, converted: Path):
    assert_equal_bits(source, converted)


def test_each_parameter_is_an_orbax_checkpoint_of_its_own(converted: Path):
    """Read without our code: by Orbax alone, from the folder that the name says."""
    attributes = attributes_of("qwen2")
    tensors = tensors_of(attributes, dtype=jnp.bfloat16)
    assert len(list((converted / "parameters").iterdir())) == 14
    with ocp.StandardCheckpointer() as checkpointer:
        up = checkpointer.restore((converted / "parameters" / "layers.up").absolute())["array"]
    assert up.dtype == jnp.bfloat16
    for layer in range(3):
        np.testing.assert_array_equal(up[layer], tensors[f"model.layers.{layer}.mlp.up_proj.weight"].T)


def test_manifest_lists_every_parameter(converted: Path):
    entries = read_manifest(converted)
    specs = parameter_specs(load_model(converted).config)
    assert {name: entry.shape for name, entry in entries.items()} == {name: spec.shape for name, spec in specs.items()}
    assert entries["layers/query_bias"] == ManifestEntry(
        (3, 6, 4), "bfloat16", "model.layers.{layer}.self_attn.q_proj.bias"
    )


def test_companions_are_copied_and_nothing_else(source: Path, converted: Path):
    names = {path.name for path in converted.iterdir()}
    assert names == {*COMPANIONS, "config.json", "parameters", MANIFEST}
    for name in (*COMPANIONS, "config.json"):
        assert (converted / name).read_bytes() == (source / name).read_bytes()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_dtype_can_be_changed(source: Path, tmp_path: Path, dtype: str):
    convert(source, tmp_path / "model", dtype)
    assert {entry.dtype for entry in read_manifest(tmp_path / "model").values()} == {dtype}
    weights = load_model(tmp_path / "model", dtype=None).weights
    expected = load_model(source, dtype=dtype).weights
    chex.assert_trees_all_equal_shapes_and_dtypes(weights, expected)
    jax.tree.map(np.testing.assert_array_equal, weights, expected)


def test_each_parameter_keeps_its_own_dtype(tmp_path: Path):
    attributes = attributes_of("llama")
    tensors = tensors_of(attributes, dtype=jnp.bfloat16)
    tensors["model.norm.weight"] = tensors["model.norm.weight"].astype(np.float32)
    write_checkpoint(tmp_path / "source", attributes, tensors)
    convert(tmp_path / "source", tmp_path / "target")
    weights = load_model(tmp_path / "target", dtype=None).weights
    assert (weights["final_norm"].dtype, weights["embedding"].dtype) == (jnp.float32, jnp.bfloat16)


def test_existing_target_is_left_alone(source: Path, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious").touch()
    with pytest.raises(FileExistsError, match=r"target .*model exists already; remove it, or name another one"):
        convert(source, tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "precious"]


@pytest.mark.parametrize("parameters_before_death", [0, 1, 7, 13])
def test_interrupted_conversion_leaves_nothing_that_loads_and_is_taken_up_again(
    source: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters_before_death: int
):
    target, partial = tmp_path / "model", tmp_path / "model.partial"
    create, made = conversion.create_array, []

    def create_or_die(folder, *arguments):
        store = create(folder, *arguments)
        made.append(folder.name)
        if len(made) > parameters_before_death:
            raise KeyboardInterrupt
        return store

    monkeypatch.setattr(conversion, "create_array", create_or_die)
    with pytest.raises(KeyboardInterrupt):
        convert(source, target)
    assert not target.exists()
    whole = [path for path in (partial / "parameters").iterdir() if not path.name.endswith(".unfinished")]
    assert len(whole) == parameters_before_death
    with pytest.raises(ValueError, match=r"is what an interrupted conversion left, without .*; convert again"):
        load_model(partial)
    partial.rename(target)  # not even under the right name
    with pytest.raises(ValueError, match="is what an interrupted conversion left"):
        load_model(target)
    target.rename(partial)

    parameters_before_death, made[:] = 99, []
    convert(source, target)
    assert len(made) == 14 - len(whole)  # those that were whole are kept
    assert not partial.exists()
    assert {path.name for path in target.iterdir()} == {path.name for path in converted.iterdir()}
    assert_equal_bits(target, converted)


@pytest.mark.parametrize("change", ["source", "dtype"])
def test_what_was_converted_from_something_else_is_not_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
):
    shutil.copytree(source, tmp_path / "source")
    monkeypatch.setattr(conversion, "write_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "source", tmp_path / "model")
    monkeypatch.undo()
    if change == "source":
        attributes = attributes_of("qwen2")
        write_checkpoint(tmp_path / "source", attributes, tensors_of(attributes, seed=9, dtype=jnp.bfloat16), shards=2)
    dtype = "float32" if change == "dtype" else None
    convert(tmp_path / "source", tmp_path / "model", dtype)
    convert(tmp_path / "source", tmp_path / "fresh", dtype)
    assert_equal_bits(tmp_path / "model", tmp_path / "fresh")


def test_killed_process(source: Path, converted: Path, tmp_path: Path):
    """SIGKILL in the middle of a parameter: no handler runs, and the threads that write die with it."""
    program = (
        "import os, signal, sys\n"
        "from checkpoint_convert import conversion\n"
        "read, calls = conversion.read_parameter, []\n"
        "def read_or_die(*arguments):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 9: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(*arguments)\n"
        "conversion.read_parameter = read_or_die\n"
        "conversion.convert(*sys.argv[1:])\n"
    )
    died = subprocess.run([sys.executable, "-c", program, source, tmp_path / "model"], cwd=REPOSITORY, timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["model.partial"]
    with pytest.raises(ValueError, match="is what an interrupted conversion left"):
        load_model(tmp_path / "model.partial")
    convert(source, tmp_path / "model")
    assert_equal_bits(tmp_path / "model", converted)


@pytest.mark.slow
def test_killed_at_ten_random_moments(source: Path, converted: Path, tmp_path: Path):
    """Whatever the moment: either nothing that loads, or the whole checkpoint; and the next run makes it whole."""
    program = (
        "import sys, time\n"
        "from checkpoint_convert import conversion\n"
        "print('begins', flush=True)\n"
        "conversion.convert(*sys.argv[1:])\n"
    )
    rng, started = np.random.default_rng(0), time.monotonic()
    arguments = [sys.executable, "-c", program, source]
    with subprocess.Popen([*arguments, tmp_path / "timed"], cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        started = time.monotonic()
    duration, outcomes = time.monotonic() - started, []
    for attempt in range(10):
        target = tmp_path / f"model{attempt // 2}"  # every other one takes up what a killed one left
        with subprocess.Popen([*arguments, target], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=-3) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, duration))
            process.kill()
        if target.exists():
            assert_equal_bits(target, converted)
            outcomes.append("whole")
        else:
            with pytest.raises((ValueError, FileNotFoundError)):
                load_model(target.with_name(target.name + ".partial"))
            outcomes.append("nothing")
    assert "nothing" in outcomes
    for number in range(5):
        if not (tmp_path / f"model{number}").exists():
            convert(source, tmp_path / f"model{number}")
        assert_equal_bits(tmp_path / f"model{number}", converted)


def test_a_folder_that_is_no_leftover_is_not_deleted(source: Path, tmp_path: Path):
    (tmp_path / "model.partial").mkdir()
    (tmp_path / "model.partial" / "precious").touch()
    with pytest.raises(FileExistsError, match=r"model\.partial exists and no conversion made it"):
        convert(source, tmp_path / "model")
    assert (tmp_path / "model.partial" / "precious").exists()


def test_nothing_is_written_where_the_source_is_wrong(source: Path, tmp_path: Path):
    attributes = attributes_of("llama")
    tensors = tensors_of(attributes)
    del tensors["model.norm.weight"]
    del tensors["model.layers.0.mlp.up_proj.weight"]
    tensors["surplus"] = np.zeros(3, np.float32)
    write_checkpoint(tmp_path / "source", attributes, tensors)
    with pytest.raises(ValueError) as caught:
        convert(tmp_path / "source", tmp_path / "model")
    for finding in ("missing: model.norm.weight", "missing: model.layers.0.mlp.up_proj", "unmapped: surplus"):
        assert finding in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_mixed_dtypes_are_found_before_anything_is_written(tmp_path: Path):
    attributes = attributes_of("llama")
    tensors = tensors_of(attributes)
    name = "model.layers.2.mlp.down_proj.weight"
    tensors[name] = tensors[name].astype(np.float16)
    write_checkpoint(tmp_path / "source", attributes, tensors)
    with pytest.raises(ValueError, match=r"layers/down is stored in several dtypes"):
        convert(tmp_path / "source", tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} == {"source"}
    convert(tmp_path / "source", tmp_path / "model", "float16")


def test_sources_that_are_none(source: Path, converted: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"source folder .*nowhere does not exist"):
        convert(tmp_path / "nowhere", tmp_path / "model")
    with pytest.raises(ValueError, match="is a converted checkpoint already"):
        convert(converted, tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        (tmp_path / "empty").mkdir()
        convert(tmp_path / "empty", tmp_path / "model")
    with pytest.raises(ValueError, match="dtype 'int4' is not one of float32, bfloat16, float16"):
        convert(source, tmp_path / "model", "int4")
    assert {path.name for path in tmp_path.iterdir()} == {"empty"}


@pytest.mark.parametrize("limit", [1, 200, 500])
def test_blocks_of_any_size_make_the_same_checkpoint(
    source: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
):
    monkeypatch.setattr(plan, "BLOCK_BYTES", limit)
    read, sizes = conversion.read_parameter, []

    def watch(*arguments):
        block = read(*arguments)
        sizes.append(block.nbytes)
        return block

    monkeypatch.setattr(conversion, "read_parameter", watch)
    convert(source, tmp_path / "model", verified=True)
    longest_row = 28 * 2 if limit == 1 else 0  # of down; and the 4 rows of one head cannot be cut
    assert max(sizes) <= max(limit, longest_row, 4 * 20 * 2)
    assert_equal_bits(tmp_path / "model", converted)


def test_one_block_is_in_memory_at_a_time(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """When a block is read, those before it are on disk and nothing holds their arrays."""
    read, arrays = conversion.read_parameter, []

    def watch(rule, *arguments):
        if any(array() is not None for array in arrays):
            gc.collect()
        assert [array() for array in arrays] == [None] * len(arrays)
        array = read(rule, *arguments)
        arrays.append(weakref.ref(array))
        return array

    monkeypatch.setattr(conversion, "read_parameter", watch)
    convert(source, tmp_path / "model")
    assert len(arrays) == 2 + 3 * 12


def large_checkpoint(folder: Path, dtype: str, layers: int) -> Path:
    """About 2 GiB in four shards, never more than a shard of it in memory."""
    width, inner, vocab = 2048, 5632, 32000
    sizes = dict(hidden_size=width, intermediate_size=inner, vocab_size=vocab, num_hidden_layers=layers)
    attributes = attributes_of("llama", **sizes, num_attention_heads=16, num_key_value_heads=4, head_dim=128)
    shapes = {name: tensor.shape for name, tensor in tensors_of(attributes_of("llama")).items()}
    large = {20: width, 28: inner, 31: vocab, 24: 2048, 8: 512}
    names = [name for name in shapes if ".layers." not in name]
    names += [name.replace(".0.", f".{layer}.") for layer in range(layers) for name in shapes if ".layers.0." in name]
    rng, weight_map = np.random.default_rng(0), {}
    folder.mkdir()
    for shard in range(4):
        tensors = {}
        for name in names[shard::4]:
            shape = [large[size] for size in shapes[re.sub(r"layers\.\d+", "layers.0", name)]]
            tensors[name] = rng.standard_normal(shape, np.float32).astype(jnp.dtype(dtype))
        save_file(tensors, folder / f"model-{shard}.safetensors")
        weight_map |= dict.fromkeys(tensors, f"model-{shard}.safetensors")
    (folder / "config.json").write_text(json.dumps(attributes))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def peak_anonymous_memory(*arguments: str | Path) -> float:
    """MiB, of `python -m checkpoint_convert`, looked at every 5 ms; files that are mapped do not count."""
    peak = 0
    with subprocess.Popen([sys.executable, "-m", "checkpoint_convert", *arguments], cwd=REPOSITORY) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            if found := re.search(r"RssAnon:\s+(\d+) kB", status):
                peak = max(peak, int(found[1]))
            time.sleep(0.005)
    assert process.returncode == 0
    return peak / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("dtype", "layers"), [("float32", 9), ("bfloat16", 21)])
def test_memory_of_a_large_conversion(tmp_path: Path, dtype: str, layers: int):
    """2 GiB there and back in less than 700 MiB, with one stacked parameter of 400 to 500 MiB."""
    source = large_checkpoint(tmp_path / "source", dtype, layers)
    there = peak_anonymous_memory(f"--source={source}", f"--target={tmp_path / 'model'}", "--verify")
    back = peak_anonymous_memory(f"--source={tmp_path / 'model'}", f"--target={tmp_path / 'back'}", "--to-hf")
    print(f"{dtype}: {there:.0f} MiB to convert and verify, {back:.0f} MiB back")
    assert max(there, back) < 700
    originals, tensors = list_tensors(source), list_tensors(tmp_path / "back")
    assert set(originals) == set(tensors)
    for name, original in originals.items():
        np.testing.assert_array_equal(read_tensor(tensors[name]), read_tensor(original))


def test_progress_is_quiet_when_not_on_a_terminal(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    convert(source, tmp_path / "model")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
