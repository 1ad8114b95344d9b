"""Many hosts as one run: who writes, what is decided once for all, how arrays reach every host.

A host here is a process of JAX's distributed runtime: a TPU pod has one a machine, Slurm by default one a GPU. All walk
the same way, since a program over all devices runs only if every host calls it; the first (process 0) alone writes, and
decides what depends on files, and tells the others. Arrays travel between devices as JAX's programs have them travel;
decisions go through the runtime's coordination service, where waiting for hours keeps no device busy and a failure can
be put into words. With one process everything here is the identity.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

SEEN_SECONDS = 120
LATEST = 30 * 24 * 3600
"""Seconds; for waits that end because the other host comes, or because it is found dead."""
PIECE_BYTES = 1 << 28
"""The most that is gathered on every device at once by `to_hosts`."""

Value = TypeVar("Value")


class HostError(RuntimeError):
    """Another host failed, is missing, or differs; the message says which and how."""


def several() -> bool:
    """Whether there is more than this process."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return not several() or jax.process_index() == 0


def on_first(function: Callable[[], Value]) -> Value:
    """Calls a function on the first host alone; all wait, and get what it returned or raise what it raised.

    Args:
      function: may call none of this module's functions nor a program over all devices; returns what JSON can say.
    """
    if not several():
        return function()
    service, key = client(), _turn("first")
    if jax.process_index() == 0:
        try:
            value = function()
        except Exception as error:
            kind = type(error)
            service.key_value_set(key, json.dumps({"error": str(error), "type": [kind.__module__, kind.__qualname__]}))
            raise
        service.key_value_set(key, json.dumps({"value": value}))
        return value
    told = json.loads(_told(key))
    if "error" in told:
        module, name = told["type"]
        raise _error_of(module, name, told["error"])
    return told["value"]


def array_from_first(function: Callable[[], np.ndarray]) -> np.ndarray:
    """As `on_first`, for a function that returns an array."""
    if not several():
        return function()
    key, made = _turn("array"), None

    def send() -> list[Any]:
        nonlocal made
        made = np.asarray(function())
        client().key_value_set_bytes(key, made.tobytes())
        return [made.dtype.str, made.shape]

    dtype, shape = on_first(send)
    if made is None:
        made = np.frombuffer(_told(key, client().blocking_key_value_get_bytes), dtype).reshape(shape)
    return made


def agree(value: Value) -> Value:
    """The first host's value, on all hosts; what JSON can say."""
    return on_first(lambda: value)


def barrier(name: str, timeout: int = LATEST) -> None:
    """Waits for all hosts.

    Args:
      name: of what they wait for, for the message.
      timeout: seconds.

    Raises:
      HostError: some did not come; the message names them.
    """
    if missing := absent("barrier", timeout):
        raise HostError(f"{', '.join(map(described, missing))} did not come to {name} within {timeout} s")


def absent(kind: str, timeout: int) -> list[int]:
    """Waits for all hosts, and returns those that did not come in time, as every host that came finds them.

    Args:
      kind: of the place that they come to: each kind has its own count of how often a host came there.
      timeout: seconds.
    """
    if not several():
        return []
    service, key = client(), _turn(kind)
    service.key_value_set(f"{key}/{jax.process_index()}", "here")
    try:
        service.wait_at_barrier(key, 1000 * timeout)
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" not in str(error):
            raise
        came = {int(place.rpartition("/")[2]) for place, _ in service.key_value_dir_get(key)}
        return [host for host in range(jax.process_count()) if host not in came]
    return []


def require_same(what: str, values: Mapping[str, Any]) -> None:
    """Compares what hosts must have alike.

    Args:
      what: in words, for the message.
      values: what JSON can say, by name.

    Raises:
      HostError: on all hosts, naming the first host that differs, and what.
    """
    if not several():
        return
    service, key = client(), _turn("same")
    service.key_value_set(f"{key}/{jax.process_index()}", json.dumps(dict(values), default=str))

    def compare() -> None:
        found = [json.loads(_told(f"{key}/{i}")) for i in range(len(names()))]
        for host, other in enumerate(found):
            if different := [n for n in found[0] | other if found[0].get(n) != other.get(n)]:
                shown = "; ".join(f"{n} is {_short(other.get(n))}, not {_short(found[0].get(n))}" for n in different)
                raise HostError(f"{described(host)} has another {what} than {described(0)}: {shown}")

    on_first(compare)


def require_seen(files: Callable[[], Iterable[Path]], seconds: int = SEEN_SECONDS) -> None:
    """Waits until this host sees files that the first host has written.

    File systems over a network may show a new file late; one that never shows it is not shared.

    Args:
      files: called on the first host alone.
      seconds: to wait at most.

    Raises:
      HostError: a file is not there, or not of its size, in time.
    """
    if not several():
        return
    sizes = on_first(lambda: {str(path): path.stat().st_size for path in files()})
    until = time.monotonic() + seconds
    for name, size in sizes.items():
        while _size(Path(name)) != size:
            if time.monotonic() > until:
                raise HostError(
                    f"{name}, which {described(0)} has written, is not there as written on "
                    f"{described(jax.process_index())}; --workdir must be a folder that all hosts share"
                )
            time.sleep(0.2)


def to_hosts(arrays: Any) -> Any:
    """A tree of arrays as NumPy arrays, whole, on every host.

    What lies on the devices of several hosts is gathered `PIECE_BYTES` at a time, so that no device ever holds more
    than that of what was cut over all of them: only a piece of each device's rows is replicated at once.
    """
    return jax.tree.map(_to_hosts, arrays)


def from_first(arrays: Any) -> Any:
    """As `to_hosts`, but to the bit the same on every host, for what decides what they do next.

    What is not cut over the hosts each computes for itself, and two hosts may round it differently.
    """
    whole = to_hosts(arrays)
    return jax.tree.map(lambda array: array_from_first(lambda: array), whole) if several() else whole


def _to_hosts(array: Any) -> np.ndarray:
    if not isinstance(array, jax.Array) or array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    sharding = array.sharding
    assert isinstance(sharding, NamedSharding), sharding
    rows = array.shape[0] if array.ndim else 1
    groups = rows // sharding.shard_shape(array.shape)[0] if array.ndim else 1
    pieces = min(rows // groups, max(1, math.ceil(array.nbytes / PIECE_BYTES)))
    everywhere = NamedSharding(sharding.mesh, PartitionSpec())
    if groups * pieces == 1:
        return np.asarray(jax.jit(_same, out_shardings=everywhere)(array))
    gather = jax.jit(_piece, static_argnums=(1, 2, 3), out_shardings=everywhere)
    whole = np.empty((groups, rows // groups, *array.shape[1:]), array.dtype)
    for part in np.array_split(np.arange(rows // groups), pieces):
        start, stop = int(part[0]), int(part[-1]) + 1
        whole[:, start:stop] = np.asarray(gather(array, groups, start, stop))
    return whole.reshape(array.shape)


def _same(array: jax.Array) -> jax.Array:
    return array


def _piece(array: jax.Array, groups: int, start: int, stop: int) -> jax.Array:
    """Rows `start` to `stop` of each group's, [groups, stop - start, ...]; to cut so moves nothing between devices."""
    return array.reshape(groups, -1, *array.shape[1:])[:, start:stop]


def client() -> Any:
    """The coordination service's client. JAX shows it nowhere else; Orbax takes it from the same place."""
    from jax._src import distributed

    return distributed.global_state.client


def _told(key: str, read: Callable[[str, int], Any] | None = None) -> Any:
    """A key's value, once another host has set it. It is asked for anew each second, since signals wait meanwhile."""
    read = read or client().blocking_key_value_get
    while True:
        try:
            return read(key, 1000)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def _turn(kind: str) -> str:
    """A key that the n-th call of a kind has on every host."""
    turn = client().key_value_increment(f"jaxeap/turns/{kind}/{jax.process_index()}", 1)
    return f"jaxeap/{kind}/{turn}"


def names() -> list[str]:
    """Of all hosts' machines."""
    return [_told(f"jaxeap/names/{i}") for i in range(jax.process_count())]


def described(host: int) -> str:
    """A host by its number and its machine's name."""
    return f"host {host} ({names()[host]})"


def _error_of(module: str, name: str, message: str) -> Exception:
    """The error that the first host raised; of classes that are neither Python's nor this project's, another."""
    if (module, name) == (HostError.__module__, HostError.__qualname__):
        return HostError(message)  # It names a host already.
    message = f"{described(0)}: {message}"
    if module.partition(".")[0] in ("builtins", "jaxeap"):
        kind = getattr(importlib.import_module(module), name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            with contextlib.suppress(TypeError):  # Its constructor takes more than a message.
                return kind(message)
    return HostError(message)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:20]}... (sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]})"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
