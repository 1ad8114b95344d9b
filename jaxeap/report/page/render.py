"""Content to HTML: one Jinja template, with styles, scripts, libraries and data inside it.

Everything that comes from data passes Jinja's autoescaping or `script_json`; and should that ever fail, the page's
Content-Security-Policy runs no script but those whose hashes it names, and lets nothing ask the network for anything.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from jaxeap.report import notation
from jaxeap.report.files import write_text
from jaxeap.report.page import wording
from jaxeap.report.page.content import Content
from jaxeap.report.page.embedding import script_json
from jaxeap.report.page.panels import Panel, panels
from jaxeap.report.page.strip import strip

SCRIPTS = (
    "page",
    "theme",
    "colours",
    "edges",
    "heat_maps",
    "block_maps",
    "circuit_layout",
    "circuit_graphs",
    "circuits",
    "edge_details",
    "plots",
    "panels",
    "start",
)
"""In the order in which they run; each is one classic script of script/, for a page of one file has no modules."""
STYLES = ("page", "headline", "tables", "panels")


def write_page(path: str | os.PathLike[str], content: Content) -> Path:
    """Writes the page to `path` (usually report.html), complete or not at all."""
    return write_text(path, render(content))


def render(content: Content) -> str:
    """The page as HTML."""
    shown = panels(content)
    return render_template("page.html", shown, content=content, title="What changed from base to tuned")


def render_template(template: str, shown: Sequence[Panel], scripts: Sequence[str] = SCRIPTS, **values: Any) -> str:
    """A template with the panels' data, styles and scripts inlined."""
    libraries = [get_plotlyjs()] if any(panel.data for panel in shown) else []
    if any(panel.name == "circuits" and panel.data for panel in shown):
        libraries.append(_asset("vendor/cytoscape.min.js"))
    code = [*libraries, "\n".join(_asset(f"script/{name}.js") for name in scripts)]
    return (
        _environment()
        .get_template(template)
        .render(
            panels=shown,
            policy=content_security_policy(code),
            scripts=[Markup(script) for script in code],
            styles=Markup("\n".join(_asset(f"style/{name}.css") for name in STYLES)),
            **values,
        )
    )


def content_security_policy(scripts: Sequence[str]) -> str:
    """No network; only these inline scripts. Plots and graphs set styles and draw into images of their own."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    """A text file of the package. HTML counts line ends one way only, and the hashes must fit."""
    text = (resources.files("jaxeap.report.page") / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxeap.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "signed": wording.signed,
        "percent": wording.percent,
        "interval": wording.interval,
        "p_value": wording.p_value,
        "share": notation.share,
        "seconds": wording.seconds,
        "script_json": script_json,
    }
    environment.globals |= {"strip": strip, "wording": wording}
    return environment
