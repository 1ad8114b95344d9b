"""Wrong command lines, and the one line that each is answered with."""

import pytest

from jaxeap.pipeline.flag_errors import flag_error_words, require_config_file, require_known_flags

KNOWN = ("config", "workdir", "compare", "dry_run", "help")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--confg=configs/tiny_grpo.py", "there is no flag --confg; did you mean --config?"),
        (
            "--confg.selection.alpha=1",
            "there is no flag --confg.selection.alpha; did you mean --config.selection.alpha?",
        ),
        ("--dry-run", "there is no flag --dry-run; did you mean --dry_run?"),
        ("-wrkdir", "there is no flag --wrkdir; did you mean --workdir?"),
        ("--xyz=1", "there is no flag --xyz; --help lists all of them"),
    ],
)
def test_a_misspelled_flag_is_told_with_the_nearest(argument, said):
    with pytest.raises(ValueError) as error:
        require_known_flags(["--config=a.py", argument], KNOWN)
    assert str(error.value) == said


@pytest.mark.parametrize("argument", ["--workdir=w", "-workdir", "--nodry_run", "--config.a.b=1", "w", "-1", "-"])
def test_what_is_a_flag_or_none_at_all_passes(argument):
    require_known_flags([argument], KNOWN)
    require_known_flags(["--", "--xyz"], KNOWN)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flag --config.num_questions=x: invalid literal for int() with base 10: 'x'", "it takes a whole number"),
        ("flag --config.selection.alpha=x: could not convert string to float: 'x'", "it takes a number"),
        ("flag --config.report.page=maybe: ('Non-boolean', 'maybe')", "it takes true or false"),
        (
            "flag --config.selection=1: Failed to parse",
            "a group of settings; set one of them, --config.selection.",
        ),
        (
            "flag --config=a.py:b: Traceback\n  File x\nTypeError: get_config() takes 0",
            "a.py:b: TypeError: get_config()",
        ),
        ("flag --config.grid.alphas=x: no tuple", "--config.grid.alphas=x: no tuple"),
        ("Missing value for flag --workdir", "Missing value for flag --workdir"),
    ],
)
def test_values_of_the_wrong_type_are_told_what_the_flag_takes(text, said):
    words = flag_error_words(ValueError(text))
    assert said in words and "\n" not in words and "int()" not in words


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "--config is empty; give a config file"),
        ("folder", "is a folder; give a file in it"),
        ("text.md", "is no Python file"),
        ("nowhere.py:argument", "there is no config file .*nowhere.py; the project's own lie in configs/"),
    ],
)
def test_what_is_no_config_file_is_refused(tmp_path, name, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.md").write_text("")
    (tmp_path / "good.py").write_text("")
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        require_config_file(str(tmp_path / name) if name else "")
    require_config_file(f"{tmp_path / 'good.py'}:argument")
