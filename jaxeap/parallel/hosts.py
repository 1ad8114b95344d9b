"""Many hosts as one run: who writes, what is decided once for all, how arrays reach every host.

A host here is a process of JAX's distributed runtime: a TPU pod has one a machine, Slurm by default one a GPU. All walk
the same way, since a program over all devices runs only if every host calls it; the first (process 0) alone writes, and
decides what depends on files, and tells the others. Arrays travel between devices as JAX's programs have them travel;
decisions go through the runtime's coordination service, where waiting for hours keeps no device busy and a failure can
be put into words. With one process everything here is the identity.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import importlib.util
import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxeap.parallel.liveness import Watch, end_process, last_words

ARRIVAL_SECONDS = 300
SILENCE_SECONDS = 60
SEEN_SECONDS = 120
LATEST = 30 * 24 * 3600
"""Seconds; for waits that end because the other host comes, or because it is found dead."""
PIECE_BYTES = 1 << 28
"""The most that is gathered on every device at once by `to_hosts`."""
GO_ON = "start the same command again on all hosts, it goes on from here"

Value = TypeVar("Value")


class HostError(RuntimeError):
    """Another host failed, is missing, or differs; the message says which and how."""


@dataclasses.dataclass(frozen=True)
class Launch:
    """How this process finds the others.

    Attributes:
      coordinator_address: HOST:PORT of process 0; None where the cluster tells, and likewise the next two.
      num_processes: of the whole run.
      process_id: of this one.
      arrival: seconds within which all must have come.
      silence: seconds without a sign of life after which a host is given up.
    """

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    arrival: int = ARRIVAL_SECONDS
    silence: int = SILENCE_SECONDS

    def __post_init__(self) -> None:
        given = (self.coordinator_address, self.num_processes, self.process_id)
        if None in given and set(given) != {None}:
            raise ValueError("give all of --coordinator_address, --num_processes and --process_id, or none of them")
        if self.num_processes is not None and not 0 <= (self.process_id or 0) < self.num_processes:
            raise ValueError(f"--process_id={self.process_id} must be from 0 to {self.num_processes - 1}")
        if min(self.arrival, self.silence) < 1:
            raise ValueError("--arrival_seconds and --silence_seconds must be at least 1")


def cluster() -> str | None:
    """The launcher that started this process as one of several, where JAX knows it: its name; None on other machines.

    A launcher that started a single process is none: that one has all devices that it sees.
    """
    env = os.environ
    if {"SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"} <= env.keys():
        return "Slurm" if int(env.get("SLURM_NTASKS", "1")) > 1 else None
    if "OMPI_MCA_orte_hnp_uri" in env:
        return "Open MPI" if int(env.get("OMPI_COMM_WORLD_SIZE", "1")) > 1 else None
    if env.get("JAX_PLATFORMS", "tpu").startswith("tpu") and importlib.util.find_spec("libtpu") and _sees_tpu_chips():
        return "TPU pod"
    return None


@contextlib.contextmanager
def joined(launch: Launch | None) -> Iterator[None]:
    """Joins the other hosts for as long as the body runs; must be entered before anything else asks JAX for devices.

    A host on which the body fails, or which stops showing signs of life, ends all others with one message that names
    it: an error of theirs where they meet anyway (`on_first`), else from a thread, since a device may never answer.

    Args:
      launch: None for a single process, to which nothing happens.

    Raises:
      ValueError: no cluster is recognised and no addresses were given.
      HostError: the hosts are not alike.
    """
    if launch is None:
        yield
        return
    me = _connect(launch)
    if not several():
        yield
        return
    client, names = _client(), _names()
    ended = "this process was killed"
    if me:
        ended += f", or host 0 ({names[0]}), which leads the others, no longer answers"
    still = last_words(f"error: {_host(me, names)}: {ended}; {GO_ON}")
    watch = Watch(client, me, names, launch.silence, GO_ON, still)
    thread = threading.Thread(target=watch.run, name="jaxeap hosts", daemon=True)
    thread.start()
    try:
        yield
        barrier("the end", launch.silence)
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError):
            # That is how a device speaks of another host's death; the watch knows which, and ends this process.
            thread.join(watch.patience)
        watch.stop.set()
        thread.join()
        watch.fail(_in_words(error))
        still()
        raise
    watch.stop.set()
    thread.join()
    still()
    jax.distributed.shutdown()


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
    client, key = _client(), _turn("first")
    if jax.process_index() == 0:
        try:
            value = function()
        except Exception as error:
            kind = type(error)
            client.key_value_set(key, json.dumps({"error": str(error), "type": [kind.__module__, kind.__qualname__]}))
            raise
        client.key_value_set(key, json.dumps({"value": value}))
        return value
    told = json.loads(client.blocking_key_value_get(key, 1000 * LATEST))
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
        made = np.ascontiguousarray(function())
        _client().key_value_set_bytes(key, made.tobytes())
        return [made.dtype.str, made.shape]

    dtype, shape = on_first(send)
    if made is None:
        made = np.frombuffer(_client().blocking_key_value_get_bytes(key, 1000 * LATEST), dtype).reshape(shape)
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
    if not several():
        return
    client, key = _client(), _turn("barrier")
    client.key_value_set(f"{key}/{jax.process_index()}", "here")
    try:
        client.wait_at_barrier(key, 1000 * timeout)
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" not in str(error):
            raise
        came = {int(place.rpartition("/")[2]) for place, _ in client.key_value_dir_get(key)}
        missing = ", ".join(_host(i, _names()) for i in range(jax.process_count()) if i not in came)
        raise HostError(f"{missing} did not come to {name} within {timeout} s") from error


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
    client, key = _client(), _turn("same")
    client.key_value_set(f"{key}/{jax.process_index()}", json.dumps(dict(values), default=str))

    def compare() -> None:
        found = [json.loads(client.blocking_key_value_get(f"{key}/{i}", 1000 * LATEST)) for i in range(len(_names()))]
        for host, other in enumerate(found):
            if different := [n for n in found[0] | other if found[0].get(n) != other.get(n)]:
                shown = "; ".join(f"{n} is {_short(other.get(n))}, not {_short(found[0].get(n))}" for n in different)
                raise HostError(f"{_host(host, _names())} has another {what} than {_host(0, _names())}: {shown}")

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
                    f"{name}, which host 0 ({_names()[0]}) has written, is not there as written on "
                    f"{_host(jax.process_index(), _names())}; --workdir must be a folder that all hosts share"
                )
            time.sleep(0.2)


def to_hosts(arrays: Any) -> Any:
    """A tree of arrays as NumPy arrays, whole, on every host.

    What lies on the devices of several hosts is gathered `PIECE_BYTES` at a time, so that no device ever holds more
    than that of what was cut over all of them: only a piece of each device's rows is replicated at once.
    """
    return jax.tree.map(_to_hosts, arrays)


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


def _connect(launch: Launch) -> int:
    """Starts the distributed runtime; returns which process this is."""
    # JAX's own handler would swallow SIGTERM, which is to end the run.
    jax.config.update("jax_enable_preemption_service", False)
    who = f"host {launch.process_id} ({socket.gethostname()})" if launch.num_processes else socket.gethostname()
    count = f"all {launch.num_processes} hosts" if launch.num_processes else "all hosts"
    late = threading.Timer(
        launch.arrival,
        lambda: end_process(
            f"error: {who} is here, but not {count} came within {launch.arrival} s; missing are those that do not say "
            f"this. Start the command on every host, and see that each reaches {launch.coordinator_address or 'host 0'}"
        ),
    )
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(
            launch.coordinator_address,
            launch.num_processes,
            launch.process_id,
            # Later than ours: in the end JAX aborts the process, and tells no one which host it misses.
            initialization_timeout=launch.arrival + 60,
            heartbeat_timeout_seconds=launch.silence + 300,
            shutdown_timeout_seconds=launch.silence,
        )
    except ValueError as error:
        raise ValueError(
            f"--distributed: no cluster is recognised here ({error}); give --coordinator_address=HOST:PORT of the "
            "first host, --num_processes and --process_id"
        ) from error
    finally:
        late.cancel()
    if several():
        _client().key_value_set(f"jaxeap/names/{jax.process_index()}", socket.gethostname())
    return jax.process_index()


def _client() -> Any:
    """The coordination service's client. JAX shows it nowhere else; Orbax takes it from the same place."""
    from jax._src import distributed

    return distributed.global_state.client


def _turn(kind: str) -> str:
    """A key that the n-th call of a kind has on every host."""
    turn = _client().key_value_increment(f"jaxeap/turns/{kind}/{jax.process_index()}", 1)
    return f"jaxeap/{kind}/{turn}"


def _names() -> list[str]:
    """Of all hosts' machines."""
    return [_client().blocking_key_value_get(f"jaxeap/names/{i}", 1000 * LATEST) for i in range(jax.process_count())]


def _host(place: int, names: list[str]) -> str:
    return f"host {place} ({names[place]})"


def _sees_tpu_chips() -> bool:
    google = "0x1ae0"
    return any(path.read_text().strip() == google for path in Path("/sys/bus/pci/devices").glob("*/vendor"))


def _in_words(error: BaseException) -> str:
    kind = type(error).__name__
    return str(error) if isinstance(error, ValueError | OSError | HostError) else f"{kind}: {error}".rstrip(": ")


def _error_of(module: str, name: str, message: str) -> Exception:
    """The error that the first host raised; of classes that are neither Python's nor this project's, another."""
    if (module, name) == (HostError.__module__, HostError.__qualname__):
        return HostError(message)  # It names a host already.
    message = f"host 0 ({_names()[0]}): {message}"
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
