"""Tokens a second, by a clock of the test's own."""

import io

import rich.console

from jaxeap.sampling.throughput import SECONDS, answer_bar, token_rate


def test_the_rate_is_that_of_the_last_seconds():
    now = 0.0
    rate = token_rate(lambda: now)
    now = 2.0
    assert rate(100) == 50.0
    now = 4.0
    assert rate(300) == 100.0
    for _ in range(200):
        now += SECONDS / 10
        last = rate(60)
    assert last == 600 / SECONDS, "what was fast long ago is forgotten"


def test_the_bar_tells_tokens_a_second_on_terminals_only():
    for terminal in (True, False):
        console = rich.console.Console(file=io.StringIO(), force_terminal=terminal, width=120)
        with answer_bar("base: answering", 3, console) as advance:
            advance(1, 5000)
        shown = console.file.getvalue()
        assert ("tokens/s" in shown and "1/3" in shown) == terminal
        assert bool(shown) == terminal
