"""JSON-lines files: round trips, errors that name the line, and no half-written file."""

import os
from dataclasses import dataclass

import pytest

from jaxeap.tasks.jsonl import (
    read_checked_records,
    read_jsonl,
    read_records,
    replacing,
    write_checked_records,
    write_jsonl,
    write_records,
)


@dataclass(frozen=True)
class Reading:
    name: str
    tokens: tuple[int, ...]
    final: bool
    note: str | None


READINGS = [Reading("a", (1, 2), True, None), Reading("line\nbreak, é, \u2028", (), False, "x")]


def test_records_come_back_equal(tmp_path):
    path = tmp_path / "new" / "readings.jsonl"
    write_records(path, READINGS)
    assert read_records(path, Reading) == READINGS
    assert path.read_bytes().count(b"\n") == len(READINGS)


@pytest.mark.parametrize("records", [READINGS, READINGS[:1], []])
def test_checked_records_come_back_equal_and_damage_is_known(tmp_path, records):
    path = tmp_path / "part.jsonl"
    write_checked_records(path, records)
    content = path.read_bytes()
    assert read_checked_records(path, Reading) == records
    changes = [content[:-1], content[:-9], b"", content.partition(b"\n")[2], content * 2, b"7", bytes(len(content))]
    changes += [content.replace(b"true", b"True"), content.replace(b"[1, 2]", b"[1, 3]"), b"{}\n" + content]
    for changed in changes:
        if changed in (content, content[:-1]):  # No more is lost than the end of the last line.
            continue
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"part\.jsonl is damaged"):
            read_checked_records(path, Reading)


def test_blank_lines_count_but_hold_nothing(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \r\n{"a": 2}')
    assert list(read_jsonl(path)) == [(1, {"a": 1}), (4, {"a": 2})]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": 1}])
    old = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(path, [{"a": 2}, {"a": float("nan")}])
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, forced = tmp_path / "rows.jsonl", []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        forced.append((os.fstat(descriptor).st_size, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    write_jsonl(path, [{"a": 1}])
    assert forced == [(path.stat().st_size, False)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"name": "a"', "rows.jsonl, line 2: not valid JSON"),
        (b'{"name": NaN}', r"rows.jsonl, line 2: not valid JSON in UTF-8 \(NaN is no JSON value\)"),
        (b'{"name": "\xff"}', "rows.jsonl, line 2: not valid JSON in UTF-8"),
        (b"[1, 2]", "line 2: expected a JSON object, found list"),
        (b'{"name": "a", "tokens": [], "final": true}', "line 2: key 'note' is missing .*name, tokens, final"),
        (b'{"name": "a", "tokens": [], "final": true, "note": null, "m": 1}', "line 2: unknown key 'm'"),
        (b'{"name": 1, "tokens": [], "final": true, "note": null}', "line 2: key 'name' should be str, found 1"),
        (b'{"name": "a", "tokens": [1, 2.0], "final": true, "note": null}', "'tokens' should be tuple.int"),
        (b'{"name": "a", "tokens": [true], "final": true, "note": null}', "'tokens' should be tuple.int"),
        (b'{"name": "a", "tokens": 3, "final": true, "note": null}', "'tokens' should be tuple.int"),
        (b'{"name": "a", "tokens": [], "final": 1, "note": null}', "'final' should be bool, found 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"name": "a", "tokens": [], "final": true, "note": null}\n' + line)
    with pytest.raises(ValueError, match=message):
        read_records(path, Reading)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl: no such file"):
        list(read_jsonl(tmp_path / "gone.jsonl"))
