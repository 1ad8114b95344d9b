import gc
import os
import signal
import time

import pytest

from jaxeap.pipeline.execution import termination
from jaxeap.pipeline.execution.termination import Terminated, raising_on_sigterm


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_raises_and_does_not_disturb_the_cleaning_up():
    before, cleaned = signal.getsignal(signal.SIGTERM), False
    with pytest.raises(Terminated), raising_on_sigterm():
        try:
            terminate()
        finally:
            terminate()
            cleaned = True
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) == before


def test_one_that_comes_much_later_counts_again(monkeypatch):
    monkeypatch.setattr(termination, "SECONDS_TO_END", 0.0)
    with raising_on_sigterm():
        for _ in range(2):
            with pytest.raises(Terminated):
                terminate()


def test_no_handler_for_errors_takes_it():
    with pytest.raises(Terminated), raising_on_sigterm():
        try:
            terminate()
        except Exception:
            pytest.fail("taken for an error")


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_what_python_discards_is_raised_again(number: int, raised: type[BaseException]):
    sent = []

    def send_once(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and not sent:
            sent.append(phase)
            os.kill(os.getpid(), number)
            for _ in range(100):  # Python raises it at one of its next steps: here, where it is discarded.
                time.sleep(0)

    gc.callbacks.append(send_once)
    try:
        with pytest.raises(raised), raising_on_sigterm():
            gc.collect()
            assert sent, "else nothing is tested"
            until = time.monotonic() + 20
            while time.monotonic() < until:
                time.sleep(0.01)
            pytest.fail("the signal was lost")
    finally:
        gc.callbacks.remove(send_once)
