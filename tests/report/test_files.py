import pytest
from matplotlib import image
from matplotlib.figure import Figure

from jaxeap.report.files import replacing, write_figure, write_png, write_text


def test_text_goes_into_a_folder_that_is_made(tmp_path):
    path = write_text(tmp_path / "new" / "table.md", "α − β\n")
    assert path.read_bytes() == "α − β\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["table.md"]


def test_a_png_has_the_size_asked_for(tmp_path):
    path = write_png(tmp_path / "figure.png", Figure(figsize=(2, 1)), dots_per_inch=50)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert image.imread(path).shape[:2] == (50, 100)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "table.md", "old")
    with pytest.raises(RuntimeError, match="disk"), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_until_complete_the_name_is_not_taken(tmp_path):
    with replacing(tmp_path / "table.md") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "table.md").exists()
    assert (tmp_path / "table.md").read_text() == "half"


def test_a_figure_is_written_for_the_screen_and_for_print(tmp_path):
    def drawn(folder):
        figure = Figure(figsize=(2, 1), layout="constrained")
        figure.subplots().plot([0, 1], [1, 0])
        return write_figure(tmp_path / folder, "line", figure)

    first, second = drawn("a"), drawn("b")
    assert [path.name for path in first] == ["line.png", "line.svg", "line.pdf"]
    assert image.imread(first[0]).shape[:2] == (160, 320)
    assert "<svg" in first[1].read_text() and first[2].read_bytes().startswith(b"%PDF")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
