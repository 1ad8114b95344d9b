"""What a downloaded model, a question or a model's answer must not be able to do: run code, reach files, be markup."""

import ast
import dataclasses
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jaxeap
from jaxeap.models.manifest import MANIFEST
from jaxeap.models.safetensors_folder import list_tensors
from jaxeap.pipeline.storage.fingerprint import model_identity
from jaxeap.report.files import write_markdown_text
from jaxeap.report.page import Content, Models, render
from jaxeap.tasks.tokenizer import load_tokenizer
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint
from tests.report.page.finished import HOSTILE, block_graph, finished_content, random_scores
from tests.report.page.test_render import Outline

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = ("jaxeap", "checkpoint_convert", "configs", "run.py")

UNPICKLING_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch"}
RUNNING_BUILTINS = {"eval", "exec", "compile", "__import__"}
LOADERS = {
    ("np", "load"),
    ("numpy", "load"),
    ("jnp", "load"),
    ("yaml", "load"),
    ("pd", "read_pickle"),
    ("os", "system"),
}
OPENING_KEYWORDS = {"allow_pickle", "trust_remote_code", "shell"}


def dangers(source: str) -> Iterator[str]:
    """Ways to run what a file holds, by the line."""
    for node in ast.walk(ast.parse(source)):
        where = f"line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            for name in [module or ""] if module else [alias.name for alias in node.names]:
                if name.partition(".")[0] in UNPICKLING_MODULES:
                    yield f"{where}: imports {name}"
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in RUNNING_BUILTINS:
            yield f"{where}: calls {node.func.id}"
        if (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and (node.func.value.id, node.func.attr) in LOADERS
        ):
            yield f"{where}: calls {node.func.value.id}.{node.func.attr}"
        for keyword in node.keywords:
            if keyword.arg in OPENING_KEYWORDS and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                yield f"{where}: {keyword.arg} is not False"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from torch import load",
        "import numpy.lib.format, shelve",
        "x = eval('1')",
        "y = np.load(path)",
        "z = f(path, allow_pickle=True)",
        "z = f(path, trust_remote_code=flag)",
        "subprocess.run(command, shell=True)",
    ],
)
def test_the_search_finds(line: str):
    assert list(dangers(line))


def test_nothing_unpickles_or_runs_what_it_reads():
    files = [path for name in SHIPPED for path in [REPOSITORY / name, *(REPOSITORY / name).rglob("*.py")]]
    found = {path: list(dangers(path.read_text("utf-8"))) for path in files if path.is_file()}
    assert len(found) > 200
    assert {str(path): lines for path, lines in found.items() if lines} == {}


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_the_trap_works(tmp_path: Path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "model.safetensors", "model.safetensors.index.json", "config.json", "tokenizer.json",
     "tokenizer_config.json", "generation_config.json", "training_args.bin", "adapter_model.bin", MANIFEST],
)  # fmt: skip
def test_pickles_in_a_model_folder_are_not_opened(name: str, tmp_path: Path):
    attributes = attributes_of("qwen2")
    folder = write_checkpoint(tmp_path / "model", attributes, tensors_of(attributes))
    sprung = tmp_path / "sprung"
    if name in ("pytorch_model.bin", "model.safetensors.index.json"):
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Trap(sprung)))
    extra = name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "training_args.bin",
                     "adapter_model.bin")  # fmt: skip
    model_identity(folder, {})
    if extra:
        jaxeap.load_model(folder)
    else:
        with pytest.raises((ValueError, FileNotFoundError), match=str(folder)):
            jaxeap.load_model(folder)
    if name.startswith("tokenizer"):
        with pytest.raises(Exception, match=r"."):
            load_tokenizer(folder)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "name", ["../beside.safetensors", "/etc/beside.safetensors", "deep/beside.safetensors", "..", "", "C:\\x", "a\0b"]
)
def test_index_cannot_name_files_outside_its_folder(name: str, tmp_path: Path):
    attributes = attributes_of("qwen2")
    beside = write_checkpoint(tmp_path, attributes, tensors := tensors_of(attributes)) / "model.safetensors"
    beside.rename(tmp_path / "beside.safetensors")
    (tmp_path / "model").mkdir()
    weight_map = dict.fromkeys(tensors, name)
    (tmp_path / "model" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ValueError, match=r"which is not the name of a file beside it"):
        list_tensors(tmp_path / "model")


def test_manifest_of_a_converted_checkpoint_cannot_name_other_folders(tmp_path: Path):
    attributes = attributes_of("qwen2")
    folder = write_checkpoint(tmp_path / "model", attributes, {})
    entry = {"shape": [1], "dtype": "float32", "source": "x"}
    content = {"format": 1, "parameters": {"../../outside": entry, "/etc/passwd": entry}}
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"\.\./\.\./outside .*convert again"):
        jaxeap.load_model(folder)


@pytest.mark.parametrize("where", ["tokenizer_config.json", "config.json"])
def test_tokenizer_that_is_code_is_refused_and_not_run(where: str, tmp_path: Path):
    sprung = tmp_path / "sprung"
    (tmp_path / "tokenization_own.py").write_text(f"open({str(sprung)!r}, 'w')\nclass Own: pass\n")
    (tmp_path / "vocab.json").write_text("{}")
    (tmp_path / where).write_text(json.dumps({"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}))
    with pytest.raises(ValueError, match=rf"{where} names .*tokenization_own\.Own.* runs no code"):
        load_tokenizer(tmp_path)
    assert not sprung.exists()


def test_code_beside_a_tokenizer_json_is_not_run(tmp_path: Path):
    from jaxeap.tasks.tokenizer import arithmetic_tokenizer

    sprung = tmp_path / "sprung"
    arithmetic_tokenizer().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    own = {"auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}, "tokenizer_class": "Own"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | own))
    (tmp_path / "own.py").write_text(f"open({str(sprung)!r}, 'w')\nclass Own: pass\n")
    assert load_tokenizer(tmp_path).encode("1+2") == arithmetic_tokenizer().encode("1+2")
    assert not sprung.exists()


def hostile(value: Any) -> Any:
    """The same with every text replaced or, where it is a key, followed by one that would be markup."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {f"{key}{HOSTILE}" if isinstance(key, str) else key: hostile(each) for key, each in value.items()}
    return [hostile(each) for each in value] if isinstance(value, list | tuple) else value


def test_no_text_is_markup_on_the_page():
    graph = block_graph(2)
    plain = finished_content(*random_scores(graph[2], examples=12), graph)
    assert plain.questions is not None
    count = len(plain.questions.ids)
    content: Content = dataclasses.replace(
        plain,
        models=Models(HOSTILE, HOSTILE),
        choices=hostile(plain.choices),
        settings=hostile(plain.settings) | {"template": HOSTILE},
        hashes=hostile(plain.hashes),
        environment=hostile(plain.environment),
        stages=[stage | {"stage": HOSTILE, "fingerprint": HOSTILE} for stage in plain.stages],
        questions=dataclasses.replace(plain.questions, texts=(HOSTILE,) * count, levels=(HOSTILE,) * count),
    )
    found, expected = Outline(render(content)), Outline(render(plain))
    assert not found.of("img")
    assert len(found.scripts) == len(expected.scripts)
    assert [text for _, text in found.scripts if text.startswith("alert")] == []
    assert len(found.of("script")) == len(expected.of("script"))


def test_no_text_is_markup_in_a_markdown_table(tmp_path: Path):
    written = write_markdown_text(tmp_path / "a.md", f"| {HOSTILE} | a0<q> | p < 0.001 | > 1 |\n").read_text("utf-8")
    assert "<script" not in written and "</script" not in written and "<img" not in written
    assert "| p < 0.001 | > 1 |" in written
    assert "a0&lt;q> " in written
