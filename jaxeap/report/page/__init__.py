"""report.html: everything that a run found on one page, which opens offline and asks the network for nothing."""

from jaxeap.report.page.comparison import write_comparison_page
from jaxeap.report.page.content import Content, Models, Questions, ScoredEdges
from jaxeap.report.page.render import render, write_page

__all__ = ["Content", "Models", "Questions", "ScoredEdges", "render", "write_comparison_page", "write_page"]
