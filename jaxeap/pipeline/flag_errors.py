"""What is wrong with a command line, in words that name the flag and what it takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxeap.pipeline.settings import default_config, flat

SETTING = "config."
WANTED = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple: "a tuple, such as \"('a', 'b')\" or \"(0.1, 0.3)\"",
}
_ILLEGAL = re.compile(r"flag --(?P<name>[\w.]+)=(?P<value>.*?): (?P<why>.*)", re.DOTALL)


def require_known_flags(arguments: Sequence[str], known: Iterable[str]) -> None:
    """Refuses flags that do not exist; settings, which are flags of the config file, are left to others.

    Args:
      arguments: of the command line, without the program's name.
      known: names of all flags.

    Raises:
      ValueError: naming the first one, and the known flag nearest to it.
    """
    known = set(known)
    for argument in arguments:
        if argument == "--":
            return
        if not re.match(r"--?[A-Za-z]", argument):
            continue
        name = argument.lstrip("-").partition("=")[0]
        if name.startswith(SETTING) or {name, name.removeprefix("no")} & known:
            continue
        group, _, rest = name.partition(".")
        near = difflib.get_close_matches(group.replace("-", "_"), sorted(known), n=1, cutoff=0.6)
        hint = f"; did you mean --{near[0]}{'.' * bool(rest)}{rest}?" if near else "; --help lists all of them"
        raise ValueError(f"there is no flag --{name}{hint}")


def require_config_file(value: str) -> None:
    """Refuses what cannot be the config file that --config names.

    Args:
      value: of the flag; after a colon stands the file's own argument.

    Raises:
      FileNotFoundError, ValueError: there is no such file, or it is no Python file.
    """
    path = Path(value.partition(":")[0])
    if not value:
        raise ValueError("--config is empty; give a config file, such as configs/tiny_grpo.py")
    if path.is_dir():
        raise ValueError(f"--config={value} is a folder; give a file in it, such as configs/tiny_grpo.py")
    if not path.is_file():
        raise FileNotFoundError(f"there is no config file {path}; the project's own lie in configs/")
    if path.suffix != ".py":
        raise ValueError(f"--config={value} is no Python file; a config file is one, such as configs/tiny_grpo.py")


def flag_error_words(error: Exception) -> str:
    """One line for an error of the flags library, whose own words are those of Python's int(), or a traceback."""
    text = str(error)
    found = _ILLEGAL.fullmatch(text)
    if found is None:
        return text
    name, value, why = found["name"], found["value"], found["why"].strip().splitlines()[-1]
    if not name.startswith(SETTING):
        return f"--{name}={value}: {why}"
    key = name.removeprefix(SETTING)
    if inside := [each for each in flat(default_config()) if each.startswith(f"{key}.")]:
        return f"--{name}={value}: {key} is a group of settings; set one of them, --{SETTING}{inside[0]}=... for one"
    kind = _type_of(key)
    wanted = None if kind is None else WANTED.get(kind)
    return f"--{name}={value}: {why}" if wanted is None else f"--{name}={value}: it takes {wanted}"


def _type_of(key: str) -> type | None:
    *groups, last = key.split(".")
    config = default_config()
    for group in groups:
        if group not in config:
            return None
        config = config[group]
    return config.get_type(last) if last in config else None
