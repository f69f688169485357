"""The page of a study with a task path, in a browser: the dial in percent of RMSE."""

import json

import numpy as np
import pytest

from taskct.denoisers.prices import SquaredError
from taskct.report import load_run

SQUARE = SquaredError(64.0, 0.5, 6.0)  # of the run that the fixture writes
END = "path price=0.1"


@pytest.fixture(scope="module")
def run(path_folder):
    return load_run(path_folder)


@pytest.fixture
def page(open_page, path_page):
    return open_page(path_page)


def _shown(page):
    """HU of the pixels of image B, from the grey levels that its canvas shows."""
    found = page.evaluate(
        """() => {
          const canvas = document.getElementById("canvas-b"), scale = canvas.width / data.images.width;
          const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const middle = (k) => Math.floor((k + .5) * scale);
          return Array.from({length: data.images.height}, (_, row) => Array.from({length: data.images.width},
            (_, column) => all[4 * (middle(row) * canvas.width + middle(column))]));
        }"""
    )
    centre, width = page.evaluate("data.images.window")
    return centre - width / 2 + np.array(found) / 255 * width


@pytest.mark.parametrize("price", [0, 1.5, 2, 10])
def test_the_dial_shows_the_image_of_a_price(page, run, price):
    page.uncheck("#view-outline")
    page.fill("#view-place", str(price))
    share = SQUARE.strength(price / 100) / SQUARE.strength(0.1)
    control, end = (run.examples.denoised[name][0] for name in ("lambda=0", END))
    centre, width = run.task.window_hu
    expected = np.clip((1 - share) * control + share * end, centre - width / 2, centre + width / 2)
    np.testing.assert_allclose(_shown(page), expected, atol=12 * width / 255)
    assert page.locator("#place-name").inner_text() == "Price in RMSE"
    assert page.locator("#place-said").inner_text() == f"{price:.1f} %"
    assert page.locator("#title-b").inner_text().replace("\u00a0", " ") == f"task path, price {price:.1f} %"


def test_the_nearest_working_points_stand_beside_the_dial(page, run):
    page.fill("#view-place", "1.5")
    said = page.locator("#dial-said").inner_text().replace("\u00a0", " ")
    ratio = {name: run.arm(f"path price={name}").image_quality.rmse_hu for name in ("0.01", "0.02")}
    middle = 0.5 * (ratio["0.01"].value + ratio["0.02"].value)
    assert f"RMSE {middle:.2f} HU" in said
    assert "Measured on either side: " in said
    for name, rmse in ratio.items():
        auc = run.arm(f"path price={name}").observers["ho_eye"]
        interval = f"{rmse.value:.2f} [{rmse.ci_low:.2f}, {rmse.ci_high:.2f}]"
        words = f"task path, price {100 * float(name):g} %: RMSE {interval} HU"
        assert f"{words}, AUC {auc.value:.3f} [{auc.ci_low:.3f}, {auc.ci_high:.3f}]" in said
    page.fill("#view-place", "2")
    said = page.locator("#dial-said").inner_text().replace("\u00a0", " ")
    assert "Measured here: task path, price 2 %" in said
    assert page.locator("#plot .dial").count() == 1


def test_another_dial_is_a_blend(page):
    page.select_option("#view-dial", label="blend of λ = 0.9 with the control")
    assert page.locator("#place-name").inner_text() == "Blend α"
    assert page.locator("#title-b").inner_text().startswith("blend, α = ")
    page.select_option("#view-dial", index=0)
    assert page.locator("#place-name").inner_text() == "Price in RMSE"


def test_the_first_screen_says_the_price(page):
    box = page.locator(".verdict").bounding_box()
    assert box["y"] + box["height"] < 300
    assert page.locator(".verdict").inner_text().replace("\u00a0", " ").startswith("At a price of 2 % in RMSE")
    shown = page.locator(".strip").inner_text().replace("\u00a0", " ")
    assert "task path, price 2 %" in shown
    assert page.locator("#legend").inner_text().count("task path, price in RMSE") == 1


def test_a_price_is_picked_in_the_picture(page, run):
    page.select_option("#arm", label=run.arm("path price=0.05").label)
    rmse = run.arm("path price=0.05").image_quality.rmse_hu
    assert f"{rmse.value:.2f} [{rmse.ci_low:.2f}, {rmse.ci_high:.2f}]" in page.locator("#card dl").inner_text()
    assert not page.locator(".thumbs").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_serious_and_nothing_too_wide(open_page, path_page, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(path_page, viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.fill("#view-place", "1.5")
    found = axe.Axe().run(page).response["violations"]
    bad = [(one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")]
    assert bad == []


def test_the_page_reads_without_javascript(open_page, path_page):
    page = open_page(path_page, java_script_enabled=False)
    text = page.locator("main").inner_text().replace("\u00a0", " ")
    assert "it restores contrast where the lesion is" in text
    assert page.locator("#dial-path table").count() == 2
    assert json.loads(page.locator("#data").text_content())["images"]["dials"][0]["law"]["square"] > 0
