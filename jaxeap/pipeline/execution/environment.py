"""The machine and the code that made a result: what must be known to make it again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import jax

import jaxeap

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "scipy", "transformers")
GIT_SECONDS = 5


def environment() -> dict[str, str]:
    """Name -> value, for people."""
    devices = jax.devices()
    kinds = sorted({device.device_kind for device in devices})
    return {
        "code": _code(),
        "source hash": source_hash(Path(jaxeap.__file__).parent),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "system": platform.platform(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "devices": f"{len(devices)} × {', '.join(kinds)}",
    }


def source_hash(folder: Path) -> str:
    """Hash of all Python files below a folder, names included: equal code gives equal hashes, committed or not."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _code() -> str:
    """The package's version, and the commit where the code lies in a git checkout."""
    try:
        version = importlib.metadata.version("jaxeap")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    folder = Path(jaxeap.__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = " with changes" if _git(folder, "status", "--porcelain", "--", ".") else ""
    except (OSError, subprocess.SubprocessError):
        return f"jaxeap {version}"
    return f"jaxeap {version}, commit {commit[:12]}{changed}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    return done.stdout.strip()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"
