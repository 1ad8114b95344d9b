import jax

from jaxeap.pipeline.execution.environment import environment, source_hash


def test_names_versions_and_devices():
    found = environment()
    assert found["jax"] == jax.__version__
    assert found["devices"].startswith(f"{jax.device_count()} × ")
    assert len(found["source hash"]) == 64
    assert all(isinstance(value, str) and value for value in found.values())


def test_source_hash_follows_content_and_names_alone(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "a.py").write_text("x = 1\n")
        (tmp_path / name / "b.py").write_text("")
        (tmp_path / name / "notes.txt").write_text(name)
    first = source_hash(tmp_path / "one")
    assert first == source_hash(tmp_path / "two")
    (tmp_path / "two" / "inner" / "a.py").write_text("x = 2\n")
    changed = source_hash(tmp_path / "two")
    (tmp_path / "two" / "inner" / "a.py").rename(tmp_path / "two" / "inner" / "c.py")
    assert len({first, changed, source_hash(tmp_path / "two")}) == 3
