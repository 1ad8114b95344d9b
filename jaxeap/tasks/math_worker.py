"""The process in which math-verify works: JSON lines in, JSON lines out. `math_grading` starts, watches and ends it.

It runs as a file of its own, without the rest of the package, so that it starts in a second and JAX is in no process
that may have to be killed.
"""

import json
import math
import os
import resource
import sys
from typing import Any

MEMORY = 4 * 2**30
"""Bytes of address space, beyond which a runaway simplification fails instead of taking the machine with it."""


def main() -> None:
    """Answers a request a line until its input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What libraries print must not stand among the replies.
    if sys.platform == "linux":  # macOS refuses this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    reply(replies, {"ready": judge("1", ["1"])[0]})  # The first call loads what the others use.
    for line in sys.stdin:
        request = json.loads(line)
        limit_processor_time(request["seconds"])
        try:
            correct, extracted = judge(request["reference"], request["candidates"])
            reply(replies, {"correct": correct, "extracted": extracted})
        except Exception as error:  # of any of the libraries; a model may write anything
            reply(replies, {"error": type(error).__name__})


def limit_processor_time(seconds: float) -> None:
    """From now on; beyond it the system ends this process, in whatever library it may be (whole seconds, rounded up).

    Unlike a limit by the clock, that does not depend on what else the machine does.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def reply(stream: Any, content: dict[str, Any]) -> None:
    stream.write(json.dumps(content) + "\n")
    stream.flush()


def judge(reference: str, candidates: list[str]) -> tuple[bool, str | None]:
    """Whether one of the texts has the value of the reference, and what was read in the one that decided.

    The library's own time limits are off: they work by Python's signals, which reach no loop in C.
    """
    import math_verify

    # Alone, \\boxed{x} is read as LaTeX whatever x is; with dollars it says itself what is LaTeX.
    gold_text = reference if "$" in reference else f"\\boxed{{{reference}}}"
    gold = math_verify.parse(gold_text, parsing_timeout=None)
    read: str | None = None
    for candidate in candidates:
        found = math_verify.parse(candidate, parsing_timeout=None)
        if not found:
            continue
        read = read or str(found[-1])
        if math_verify.verify(gold, found, timeout_seconds=None):
            return True, str(found[-1])
    return False, read


if __name__ == "__main__":
    main()
