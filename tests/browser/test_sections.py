"""Pages of sections in a browser: a comparison, and a sweep that is watched."""

import pytest

from taskct.report import write_comparison
from taskct.report.watch import write_watch
from taskct.sweep.watching import LossHistory, Watched, WatchedStage

WIDTHS, SCHEMES = (390, 768, 1280), ("light", "dark")


@pytest.fixture(scope="session")
def pages(tmp_path_factory, run_folder, one_seed_path):
    """A page of each kind, by name."""
    place = tmp_path_factory.mktemp("sections")
    stages = [
        WatchedStage("pretrain seed=0", "pretrain", "done", 1.0, "", 80.0),
        WatchedStage("finetune lambda=0.9 seed=0", "finetune", "running", 0.4, "RMSE 4.2 HU", 60.0),
        WatchedStage("results", "results", "to do", None, "", 2.0),
    ]
    losses = {"pretrain seed=0": LossHistory([9.0, 5.0], [8.0, 4.8], [float("nan")] * 2)}
    return {
        "compare": write_comparison([run_folder, one_seed_path.parent], place / "compare.html"),
        "watch": write_watch(place, "a sweep", Watched(stages, losses, 62.0, True), every_s=3600),
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["compare", "watch"])
def test_fits_the_screen_and_axe_finds_nothing_serious(open_page, pages, name, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(pages[name], viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(page).response["violations"]
    bad = [(one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")]
    assert bad == []


def test_a_table_sorts(open_page, pages):
    page = open_page(pages["watch"])
    page.get_by_role("button", name="Stage").click()
    names = page.evaluate('[...document.querySelectorAll("table tbody tr")].map((row) => row.cells[0].textContent)')
    assert names == ["finetune lambda=0.9 seed=0", "pretrain seed=0", "results"]


def test_the_page_of_a_sweep_loads_itself_again_until_it_is_stopped(browser, tmp_path):
    stage = WatchedStage("results", "results", "to do", None, "", 2.0)
    path = write_watch(tmp_path, "a sweep", Watched([stage], {}, 2.0, True), every_s=1)
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    with page.expect_navigation(timeout=5000):
        pass  # by itself, within a second
    page.click("#reload")
    page.evaluate("window.marked = true")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.marked")
    context.close()


def test_readable_without_javascript(open_page, pages):
    page = open_page(pages["compare"], java_script_enabled=False)
    assert page.locator("h1").inner_text() == "2 runs compared"
    assert page.locator("table").count() >= 3
