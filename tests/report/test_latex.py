from jaxeap.report.latex import escaped, latex_table, write_latex
from jaxeap.report.table import write_tex

CELLS = [("Metric", "Run_1", "95% interval"), ("Gini & more", "-0.5", "[-1, +2]"), ("Inter-sample", "–", "3")]


def test_a_table_of_booktabs():
    assert latex_table(CELLS, "What #1 changed.", "tab:x", ["a < b"]).splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{What \#1 changed. a $<$ b}",
        r"\label{tab:x}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"Metric & Run\_1 & 95\% interval \\",
        r"\midrule",
        r"Gini \& more & $-$0.5 & {[$-$1, +2]} \\",
        r"Inter-sample & -- & 3 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_what_latex_would_read_as_a_command_is_escaped():
    assert escaped(r"50% of $x_{i}^2 & \y ~ #") == (
        r"50\% of \$x\_\{i\}\textasciicircum{}2 \& \textbackslash{}y \textasciitilde{} \#"
    )


def test_the_contrast_has_a_row_a_metric(finished, tmp_path):
    text = write_tex(tmp_path / "table.tex", finished.contrast).read_text()
    assert text.startswith("% needs \\usepackage{booktabs}\n")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(finished.contrast.metrics)
    assert rows[1].startswith("Activation intensity & ")
    assert len({line.count(" & ") for line in rows}) == 1
    assert write_latex(tmp_path / "other.tex", CELLS, "c", "l").read_text().count("\n") == 14
