"""JSON-lines files: one JSON object a line, written under a temporary name and renamed when complete.

A part of a result, which no manifest vouches for yet, ends with a line that holds the hash of those before it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

Record = TypeVar("Record")

CHECKSUM = "sha256_of_lines_above"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """Opens a text file beside `path` that takes its place on success and is removed on failure.

    A reader therefore sees the old file or the whole new one, never half of it. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Renames a complete file, once the disk has it: after a power cut, too, what has its final name is whole."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number from 1, object) for each line that is not blank.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line is no JSON object; the message names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file (expected JSON lines, one object a line)")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
            except ValueError as error:  # of JSON and of UTF-8 alike
                raise ValueError(f"{path}, line {number}: not valid JSON in UTF-8 ({error})") from error
            if not isinstance(record, dict):
                raise ValueError(f"{path}, line {number}: expected a JSON object, found {type(record).__name__}")
            yield number, record


def write_jsonl(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Writes one object a line, keys in the order given, text as UTF-8."""
    with replacing(path) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def read_records(path: str | os.PathLike[str], record_type: type[Record]) -> list[Record]:
    """Reads the lines as instances of a dataclass with fields of type str, bool, `str | None` or tuple[int, ...].

    Raises:
      FileNotFoundError, ValueError: as `read_jsonl`; and where a key is missing, unknown or of the wrong type.
    """
    hints = typing.get_type_hints(record_type)
    return [record_type(**_values(record, hints, f"{path}, line {number}")) for number, record in read_jsonl(path)]


def write_records(path: str | os.PathLike[str], records: Iterable[Any]) -> None:
    """Writes flat dataclass instances, one a line; `read_records` gives equal ones back."""
    write_jsonl(path, (dataclasses.asdict(record) for record in records))


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python reads, are no JSON, and neither a question nor an answer."""
    raise ValueError(f"{name} is no JSON value")


def write_checked_records(path: str | os.PathLike[str], records: Iterable[Any]) -> None:
    """As `write_records`, with a last line by which `read_checked_records` knows damage."""
    lines = [json.dumps(dataclasses.asdict(record), ensure_ascii=False, allow_nan=False) + "\n" for record in records]
    with replacing(path) as file:
        file.writelines(lines)
        file.write(json.dumps({CHECKSUM: hashlib.sha256("".join(lines).encode()).hexdigest()}) + "\n")


def read_checked_records(path: str | os.PathLike[str], record_type: type[Record]) -> list[Record]:
    """What `write_checked_records` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not what was written; the message names the file.
    """
    content = Path(path).read_bytes()
    above, _, last = content.removesuffix(b"\n").rpartition(b"\n")
    above += b"\n" if above else b""
    try:
        stored = json.loads(last)[CHECKSUM]
    except (KeyError, TypeError, ValueError):
        stored = None
    if stored != hashlib.sha256(above).hexdigest():
        raise ValueError(f"{path} is damaged (its content is not what its checksum says)")
    hints = typing.get_type_hints(record_type)
    lines = enumerate(above.splitlines(), start=1)
    return [record_type(**_values(json.loads(line), hints, f"{path}, line {number}")) for number, line in lines]


def _values(record: dict[str, Any], hints: Mapping[str, Any], where: str) -> dict[str, Any]:
    if missing := [name for name in hints if name not in record]:
        raise ValueError(f"{where}: key {missing[0]!r} is missing (keys found: {', '.join(record) or 'none'})")
    if unknown := [name for name in record if name not in hints]:
        raise ValueError(f"{where}: unknown key {unknown[0]!r} (known keys: {', '.join(hints)})")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    for name, hint in hints.items():
        if not _fits(values[name], hint):
            wanted = hint.__name__ if isinstance(hint, type) else str(hint)
            raise ValueError(f"{where}: key {name!r} should be {wanted}, found {record[name]!r:.80}")
    return values


def _fits(value: Any, hint: Any) -> bool:
    if hint == tuple[int, ...]:
        return isinstance(value, tuple) and all(type(item) is int for item in value)
    return isinstance(value, hint)
