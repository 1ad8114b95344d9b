import io

import rich.console

from jaxeap.pipeline.execution.progress import progress_bar


def bar_output(terminal: bool) -> str:
    console = rich.console.Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with progress_bar(console, "scoring", total=3) as advance:
        advance(2, "fast [as light]")
        advance(1)
    return console.file.getvalue()


def test_bar_counts_on_a_terminal_and_is_silent_elsewhere():
    assert "scoring" in bar_output(terminal=True)
    assert "3/3" in bar_output(terminal=True)
    assert "fast [as light]" in bar_output(terminal=True)
    assert bar_output(terminal=False).strip() == ""
