"""Grading of mathematical answers by value: math-verify, in worker processes with a time limit.

SymPy may think for ever about an expression that a model made up. Each answer is judged in a process that is ended
when it takes too long, and replaced; its verdict then says so. The limit is one of processor time, so that verdicts do
not depend on what else the machine does.
"""

from __future__ import annotations

import collections
import importlib.util
import json
import os
import queue
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jaxeap.tasks.final_answer import THINKING_ENDS, final_answer
from jaxeap.tasks.judgement import Judgement

WORKER = Path(__file__).with_name("math_worker.py")
START_SECONDS = 120.0
"""For a worker to import SymPy, on a machine that has other work."""
PATIENCE = 20.0
"""Seconds by the clock for each second of processor time, for a process that sleeps or gets no processor."""
TIME_LIMIT = "time limit"
ENDED = "the grading process ended"

_IRRELEVANT = re.compile(r"\\left|\\right|\\[,;:! ]|[\s$]")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_NUMBER = re.compile(r"\d+(?:[.,/]\d+)*")
_SCIENTIFIC = re.compile(r"(?<![\w\\])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?!\w)")


def grade_math(
    answers: Sequence[tuple[str, str]],
    *,
    seconds: float = 10.0,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Judgement]:
    """Judges each (reference answer, response text) by mathematical value.

    What the response states as its final answer counts (`jaxeap.tasks.final_answer`); where it states none, what
    math-verify finds in the whole text.

    Args:
      answers: pairs of reference and response.
      seconds: of processor time for one answer; beyond it the answer is wrong, with the note "time limit".
      workers: processes; the number of cores, at most 8, where None.
      advance: called with 1 after each answer.

    Returns:
      A judgement each, in their order.

    Raises:
      ValueError: math-verify is not installed, or its process cannot start.
    """
    if importlib.util.find_spec("math_verify") is None:
        raise ValueError(
            "the grader 'math' needs math-verify, which is not installed: pip install -r requirements/math.txt"
        )
    count = min(workers or min(os.cpu_count() or 1, 8), len(answers))
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def judge(answer: tuple[str, str]) -> Judgement:
        judgement = _judge_by_text(*answer)
        if judgement is None:
            worker = idle.get()
            try:
                judgement = worker.judge(*answer, seconds)
            finally:
                idle.put(worker)
        advance(1)
        return judgement

    started: list[_Worker] = []
    try:
        for _ in range(count):
            started.append(_Worker())
            idle.put(started[-1])
        with ThreadPoolExecutor(max(count, 1)) as threads:
            try:
                return list(threads.map(judge, answers))
            except BaseException:  # The threads are waited for, and must not wait for their processes.
                for worker in started:
                    worker.kill()
                raise
    finally:
        for worker in started:
            worker.stop()


def _judge_by_text(reference: str, text: str) -> Judgement | None:
    """Right where the final answer is written as the reference is; None where that leaves the question open."""
    stated = final_answer(text)
    if stated is None or not (bare := _IRRELEVANT.sub("", stated)) or bare != _IRRELEVANT.sub("", reference):
        return None
    return Judgement(True, stated)


def _candidates(text: str) -> list[str]:
    """What is read of a response, the likeliest reading first."""
    if (stated := final_answer(text)) is None:
        return [_readable(text.rpartition(THINKING_ENDS)[2])]
    stated = _readable(stated.strip().removesuffix("."))
    # LaTeX would take the unit in "5 dollars" for a product of letters. A formula's last number is not its value,
    # though, nor is the last of several, so that plain reading is for one number with words alone.
    plain = [stated] if _WORD.search(stated) and len(_NUMBER.findall(stated)) == 1 else []
    return [f"\\boxed{{{stated}}}", *plain]


def _readable(text: str) -> str:
    """4.5e33, which LaTeX takes for a product with e, as a power of ten."""
    return _SCIENTIFIC.sub(r"\1 \\times 10^{\2}", text)


class _Worker:
    """A process of `math_worker`, started when it is first needed, and again after it had to be killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, reference: str, text: str, seconds: float) -> Judgement:
        process = self._process or self._start()
        request = {"reference": _readable(reference), "candidates": _candidates(text), "seconds": seconds}
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            reply = _read_reply(process, PATIENCE * seconds)
        except BrokenPipeError:
            reply = {"error": ENDED}
        if reply is None or "error" in reply:
            # After an error too: a process that ran out of memory may be in any state.
            self.stop()
            return Judgement(False, final_answer(text), TIME_LIMIT if reply is None else reply["error"])
        extracted = final_answer(text)
        return Judgement(reply["correct"], extracted if extracted is not None else reply["extracted"])

    def kill(self) -> None:
        """Ends the process, for the thread that reads from it to notice."""
        if (process := self._process) is not None:
            process.kill()

    def stop(self) -> None:
        """Kills the process, whatever it does, and lets go of it."""
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: the folder of the file holds modules of the package, which are not to hide others of their names.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if (_read_reply(self._process, START_SECONDS) or {}).get("ready") is not True:
            self.stop()
            raise ValueError(
                f"the grading process does not start; run '{sys.executable} -P {WORKER}' to see why, and check that "
                "math-verify is whole: pip install --force-reinstall -r requirements/math.txt"
            )
        return self._process


def _read_reply(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
    """The next line of the process; None where it does not come in time, an error where the process ends before."""
    assert process.stdout is not None
    pieces: collections.deque[bytes] = collections.deque()
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not (pieces and pieces[-1].endswith(b"\n")):
            if (left := deadline - time.monotonic()) <= 0 or not selector.select(left):
                return None
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                return {"error": TIME_LIMIT if process.wait() == -signal.SIGXCPU else ENDED}
            pieces.append(piece)
    return json.loads(b"".join(pieces))
