"""Pages of small finished runs, and a browser to read them in."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jaxeap.report.page import Content, render
from tests.report.page.finished import block_graph, finished_content, random_scores, scored_edges


@pytest.fixture(scope="session")
def content() -> Content:
    graph = block_graph(3)
    return finished_content(*random_scores(graph[2]), graph)


@pytest.fixture(scope="session")
def bare(content: Content) -> Content:
    """A run that left every stage out that can be."""
    metrics = {name: content.metrics[name] for name in ("answers", "contrast")}
    return Content(content.models, metrics)


@pytest.fixture(scope="session")
def identical(content: Content) -> Content:
    """Base compared with itself."""
    graph = content.edges.sources, content.edges.destinations, content.edges.mask
    base = random_scores(graph[2])[0]
    return dataclasses.replace(content, edges=scored_edges("block", graph, base, base))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium: the system's, or the one that playwright has installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as driver:
        if system is None and not Path(driver.chromium.executable_path).is_file():
            pytest.skip("no Chromium: install the system's package chromium, or run `playwright install chromium`")
        # Chromium's own sandbox needs rights that a container's root has not; the page is ours.
        opened = driver.chromium.launch(executable_path=system, args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclasses.dataclass
class Visit:
    """A page that is open in the browser, and what went wrong or out on it."""

    page: Any
    errors: list[str]
    requests: list[str]

    def show(self, name: str) -> Any:
        """Scrolls to the element with this id, where plots are drawn when they are seen."""
        element = self.page.locator(f"#{name}")
        element.scroll_into_view_if_needed()
        if name.startswith("plot-"):
            self.page.wait_for_selector(f"#{name} .main-svg", state="attached")
        return element


@pytest.fixture(scope="module")
def visit(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Visit]]:
    """Opens a page; at the end no script may have failed and nothing may have been asked for but the file."""
    visits: list[Visit] = []
    folder = tmp_path_factory.mktemp("pages")

    def opened(html: str, **options: Any) -> Visit:
        path = folder / f"report{len(visits)}.html"
        path.write_text(html, encoding="utf-8")
        page = browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | options))
        page.set_default_timeout(60_000)
        visit = Visit(page, [], [])
        page.on("console", lambda message: visit.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: visit.errors.append(str(error)))
        page.on("dialog", lambda dialog: (visit.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: visit.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function("() => document.documentElement.dataset.ready !== undefined")
        visits.append(visit)
        return visit

    yield opened
    for visit in visits:
        visit.page.close()
        assert not visit.errors
        assert [url for url in visit.requests if not url.startswith(("data:", "blob:"))] == visit.requests[:1]


@pytest.fixture(scope="module")
def desk(visit: Callable[..., Visit], content: Content) -> Visit:
    """The page of `content` on a desktop's screen, one for all tests of a module: each sets what it looks at."""
    return visit(render(content))
