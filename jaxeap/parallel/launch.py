"""How a process finds the other hosts of its run, and what ends it when one of them fails."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxeap.parallel.hosts import HostError, barrier, client, described, names, several
from jaxeap.parallel.liveness import Watch, end_process, last_words

ARRIVAL_SECONDS = 300
SILENCE_SECONDS = 60
GO_ON = "start the same command again on all hosts, it goes on from here"


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
    everybody = names()
    ended = "this process was killed"
    if me:
        ended += f", or host 0 ({everybody[0]}), which leads the others, no longer answers"
    still = last_words(f"error: {described(me)}: {ended}; {GO_ON}")
    watch = Watch(client(), me, everybody, launch.silence, GO_ON, still)
    thread = threading.Thread(target=watch.run, name="jaxeap hosts", daemon=True)
    thread.start()
    try:
        yield
        barrier("the end")
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
        client().key_value_set(f"jaxeap/names/{jax.process_index()}", socket.gethostname())
    return jax.process_index()


def _sees_tpu_chips() -> bool:
    google = "0x1ae0"
    return any(path.read_text().strip() == google for path in Path("/sys/bus/pci/devices").glob("*/vendor"))


def _in_words(error: BaseException) -> str:
    kind = type(error).__name__
    if not isinstance(error, Exception):
        return f"was stopped ({kind}); {GO_ON}"
    return str(error) if isinstance(error, ValueError | OSError | HostError) else f"{kind}: {error}".rstrip(": ")
