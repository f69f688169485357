"""The page of a run, in a browser: what it shows, and what every control does."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from taskct.metrics.image_quality import peak_disc_hu
from taskct.report import load_run

WIDTHS = (390, 768, 1280)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def run(run_folder):
    return load_run(run_folder)


def _choose(page, field, value):
    page.select_option(f"#{field}", value)


def _data(page):
    return page.evaluate("data")


def _pixels(page, canvas):
    """The grey levels that a canvas shows, one for each pixel of the image."""
    found = page.evaluate(
        """(id) => {
          const canvas = document.getElementById(id), scale = canvas.width / data.images.width;
          const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const middle = (k) => Math.floor((k + .5) * scale);
          return Array.from({length: data.images.height}, (_, row) => Array.from({length: data.images.width},
            (_, column) => all[4 * (middle(row) * canvas.width + middle(column))]));
        }""",
        canvas,
    )
    return np.array(found)


def _levels(image, centre, width):
    return np.clip((image - (centre - width / 2)) / width * 255, 0, 255)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(open_page, width, scheme):
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    too_wide = page.evaluate(
        """() => [...document.body.querySelectorAll("*")].filter((one) => !one.closest(".scroll, .wide, .skip"))
          .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
          .map((one) => one.outerHTML.slice(0, 90))"""
    )
    assert too_wide == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_serious(open_page, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.click("summary")
    page.click("[data-mode=flicker]")
    page.mouse.move(*_mark_of(page, "lambda=0.75"))
    found = axe.Axe().run(page).response["violations"]
    assert page.locator("#plot svg [aria-label]").count() == 0
    bad = [(one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")]
    assert bad == []


def test_first_screen_is_verdict_picture_and_strip(open_page):
    page = open_page()
    for selector in (".verdict", "#plot svg", ".strip svg"):
        box = page.locator(selector).first.bounding_box()
        assert 0 <= box["y"] < 600, selector
    assert page.locator("#plot svg").bounding_box()["height"] > 250


def test_the_verdict_is_two_sentences_of_three_lines_at_most(open_page):
    page = open_page()
    lines = page.evaluate(
        """() => { const verdict = document.querySelector(".verdict");
          return verdict.getBoundingClientRect().height / parseFloat(getComputedStyle(verdict).lineHeight); }"""
    )
    assert round(lines) <= 3


def test_every_number_of_the_tables_is_that_of_the_summary(open_page, run_folder):
    page = open_page()
    summary = json.loads((run_folder / "summary.json").read_text())
    caption = "Image quality and AUC of every arm"
    rows = page.evaluate(
        """(caption) => [...[...document.querySelectorAll("table")]
          .find((table) => table.caption.textContent.startsWith(caption)).tBodies[0].rows]
          .map((row) => [...row.cells].map((cell) => cell.textContent))""",
        caption,
    )
    assert len(rows) == len(summary["arms"])
    for row, arm in zip(rows, summary["arms"], strict=True):
        numbers = [_numbers(cell) for cell in row[2:]]
        quality = arm["image_quality"]
        wanted = [_three(quality[key], digits) for key, digits in (("rmse_hu", 2), ("psnr_db", 2), ("ssim", 3))]
        wanted += [_three(arm["observers"].get(observer), 3) for observer in ("slnn_joint", "slnn", "ho", "ho_eye")]
        assert numbers == wanted
        assert int(row[1]) == arm["seed"]


def _numbers(cell):
    return [float(text) for text in re.findall(r"[-−]?\d+\.\d+", cell.replace("−", "-"))]


def _three(estimate, digits):
    if not estimate:
        return []
    value = estimate.get("value", estimate.get("auc"))
    return [float(f"{number:.{digits}f}") for number in (value, estimate["ci_low"], estimate["ci_high"])]


def test_a_table_sorts_by_click_and_by_key(open_page):
    page = open_page()
    head = page.locator("table.sortable", has=page.locator("caption", has_text="Image quality and AUC")).locator("th")
    rmse = head.filter(has_text="RMSE (HU)").first
    column = """(th) => [...th.closest("table").tBodies[0].rows]
      .map((row) => parseFloat(row.cells[th.cellIndex].textContent))"""
    before = rmse.evaluate(column)
    rmse.locator("button").click()
    assert rmse.get_attribute("aria-sort") == "ascending"
    assert rmse.evaluate(column) == sorted(before)
    rmse.locator("button").press("Enter")
    assert rmse.get_attribute("aria-sort") == "descending"
    assert rmse.evaluate(column) == sorted(before, reverse=True)
    joint = head.filter(has_text="joint SLNN-NO").first
    joint.locator("button").click()
    assert rmse.get_attribute("aria-sort") is None
    cells = joint.evaluate(
        """(th) => [...th.closest("table").tBodies[0].rows].map((row) => row.cells[th.cellIndex].textContent)"""
    )
    first_dash = cells.index("–")
    assert set(cells[first_dash:]) == {"–"}
    assert [float(c[:5]) for c in cells[:first_dash]] == sorted(float(c[:5]) for c in cells[:first_dash])


@pytest.mark.parametrize("observer", ["slnn_joint", "slnn", "ho", "ho_eye"])
@pytest.mark.parametrize("measure", ["rmse_hu", "psnr_db", "ssim"])
def test_the_picture_shows_the_observer_and_the_metric(open_page, run, observer, measure):
    page = open_page()
    _choose(page, "observer", observer)
    _choose(page, "measure", measure)
    wanted = [arm for arm in run.summary.arms if arm.seed == 0 and observer in arm.observers and arm.name != "low-dose"]
    marks = page.locator("#plot g[data-part=dot] path, #plot g[data-part=dot] circle")
    assert marks.count() == len(wanted)
    places = page.evaluate(
        """() => { const svg = document.querySelector("#plot svg");
          const own = svg.getBoundingClientRect(), boxes = [...svg.querySelectorAll("g[data-part=dot] > *")]
            .map((mark) => mark.getBoundingClientRect());
          return boxes.map((box) => [svg.scale("x").invert(box.x + box.width / 2 - own.x),
            svg.scale("y").invert(box.y + box.height / 2 - own.y)]); }"""
    )
    values = [(getattr(arm.image_quality, measure).value, arm.observers[observer].value) for arm in wanted]
    spread = np.ptp([x for x, _ in values])
    for x, y in values:
        assert any(abs(at_x - x) / spread < 0.02 and abs(at_y - y) < 0.01 for at_x, at_y in places)


def test_the_front_runs_through_the_arms_of_the_file(open_page, run_folder):
    told = json.loads((run_folder / "tradeoff.json").read_text())["observers"]
    page = open_page()
    for observer in told:
        _choose(page, "observer", observer)
        # Every corner at which the steps rise, in the units of the axes.
        corners = page.evaluate(
            """() => { const svg = document.querySelector("#plot svg"), path = svg.querySelector("g.front path");
              const corners = path.getAttribute("d").matchAll(/[ML]([-\\d.]+),([-\\d.]+)/g);
              const points = Array.from(corners, (m) => [+m[1], +m[2]]);
              return points.filter(([x, y], i) => i === 0 || y < points[i - 1][1] - 1e-6)
                .map(([x, y]) => [svg.scale("x").invert(x), svg.scale("y").invert(y)]); }"""
        )
        wanted = sorted((a["rmse_hu"], a["auc"]["value"]) for a in told[observer]["front"]["arms"] if a["on_front"])
        np.testing.assert_allclose(corners, wanted, rtol=1e-3)
    assert page.locator("#plot g.front-band path").count() == 1
    assert "Pareto front, 95 % band for all arms together" in page.locator("#legend").inner_text()
    for field, value, shown in (("measure", "ssim", 0), ("measure", "rmse_hu", 1), ("seed", "1", 0)):
        _choose(page, field, value)
        assert page.locator("#plot g.front path").count() == shown, (field, value)
        assert ("Pareto front" in page.locator("#legend").inner_text()) == bool(shown)


def _mark_of(page, name):
    """Where the mark of an arm is on the screen."""
    return page.evaluate(
        """(name) => { const svg = document.querySelector("#plot svg"), own = svg.getBoundingClientRect();
          const seed = document.getElementById("seed").value;
          const arm = data.arms.find((one) => one.name === name && String(one.seed) === seed);
          return [own.x + svg.scale("x").apply(arm.rmse_hu[0]),
            own.y + svg.scale("y").apply(arm.auc[document.getElementById("observer").value][0])]; }""",
        name,
    )


@pytest.mark.parametrize("how", ["hover", "tap"])
def test_pointing_at_a_mark_shows_its_arm(open_page, run, how):
    page = open_page(has_touch=True)
    x, y = _mark_of(page, "lambda=0.75")
    page.mouse.move(x, y) if how == "hover" else page.touchscreen.tap(x, y)
    page.wait_for_function("""document.querySelector("#card h3").textContent.includes("0.75")""")
    arm = run.arm("lambda=0.75")
    text = page.locator("#card dl").inner_text().replace("−", "-")
    for value in (arm.image_quality.rmse_hu, arm.image_quality.psnr_db):
        assert f"{value.value:.2f} [{value.ci_low:.2f}, {value.ci_high:.2f}]" in text
    for auc in arm.observers.values():
        assert f"{auc.value:.3f} [{auc.ci_low:.3f}, {auc.ci_high:.3f}]" in text
    assert page.locator("#roc-plot svg").is_visible()
    assert page.locator(".thumbs canvas").first.is_visible()
    assert page.locator("#plot g[data-part=tip] text").count() == 1


def test_the_roc_curve_has_the_area_of_the_arm(open_page, run):
    page = open_page()
    for arm in _data(page)["arms"]:
        for observer, (fpf, tpf) in arm["roc"].items():
            area = np.trapezoid(np.array(tpf) / 1e4, np.array(fpf) / 1e4)
            assert area == pytest.approx(run.arm(arm["name"], arm["seed"]).observers[observer].value, abs=0.003)


def test_a_seed_changes_every_mark(open_page, run):
    page = open_page()
    before = page.locator("#card dl").inner_text()
    _choose(page, "seed", "1")
    assert page.locator("#card dl").inner_text() != before
    rmse = run.arm(run.choices.chosen_arm, 1).image_quality.rmse_hu.value
    assert f"{rmse:.2f} [" in page.locator("#card dl").inner_text()
    assert page.locator("#no-images").is_visible()  # images are of the quoted seed


def test_the_arm_can_be_picked_by_key(open_page):
    page = open_page()
    page.focus("#arm")
    before = page.locator("#card h3").inner_text()
    page.keyboard.press("ArrowUp")
    assert page.locator("#card h3").inner_text() != before
    assert page.locator("#plot .picked").count() <= 1


def test_every_arm_that_text_speaks_of_has_a_label(open_page, run):
    page = open_page()
    labels = page.locator("#plot .arm-label").all_text_contents()
    quoted = _data(page)["quoted"]
    assert quoted
    assert {run.arm(name).label for name in quoted} <= set(labels)
    boxes = [label.bounding_box() for label in page.locator("#plot .arm-label").all()]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = a["x"] + a["width"] <= b["x"] + 1 or b["x"] + b["width"] <= a["x"] + 1
            assert apart or a["y"] + a["height"] <= b["y"] + 4 or b["y"] + b["height"] <= a["y"] + 4


def test_the_viewer_shows_the_pixels_of_the_run(open_page, run):
    page = open_page()
    page.uncheck("#view-outline")
    _choose(page, "view-a", "lambda=0")
    _choose(page, "view-b", "lambda=0.9 alpha=0.35")
    _choose(page, "view-trial", "2")
    saved = run.examples
    blend = 0.65 * saved.denoised["lambda=0"][2] + 0.35 * saved.denoised["lambda=0.9"][2]
    for canvas, image in (("reference", saved.reference[2]), ("a", saved.denoised["lambda=0"][2]), ("b", blend)):
        np.testing.assert_allclose(_pixels(page, f"canvas-{canvas}"), _levels(image, *run.task.window_hu), atol=12)
        exact = page.evaluate(
            "([name, trial]) => [...pixels.ofArm(name, trial)]",
            [{"reference": "reference", "a": "lambda=0", "b": "lambda=0.9 alpha=0.35"}[canvas], 2],
        )
        np.testing.assert_allclose(np.reshape(exact, image.shape), image, atol=0.051)


def test_the_window_changes_by_slider_and_by_drag(open_page, run):
    page = open_page()
    page.uncheck("#view-outline")
    page.fill("#view-centre", "0")
    page.fill("#view-width", "100")
    image = run.examples.reference[0]
    np.testing.assert_allclose(_pixels(page, "canvas-reference"), _levels(image, 0, 100), atol=16)
    assert page.locator("#width-said").inner_text() == "100 HU"
    box = page.locator("#canvas-a").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 70)
    page.mouse.up()
    # 300 HU of the study's window are 200 pixels of a drag.
    assert page.input_value("#view-width") == "160"
    assert page.input_value("#view-centre") == "30"
    page.click("#window-reset")
    assert [float(page.input_value(f"#view-{which}")) for which in ("centre", "width")] == list(run.task.window_hu)


def test_the_outline_goes_on_and_off(open_page):
    page = open_page()

    def yellow():
        return page.evaluate(
            """() => { const canvas = document.getElementById("canvas-a"), all = canvas.getContext("2d")
              .getImageData(0, 0, canvas.width, canvas.height).data; let n = 0;
              for (let i = 0; i < all.length; i += 4) n += all[i] > all[i + 2] + 60; return n; }"""
        )

    assert yellow() > 50
    page.uncheck("#view-outline")
    assert yellow() == 0
    page.check("#view-outline")
    assert yellow() > 50


def test_differences_are_about_zero(open_page, run):
    page = open_page()
    page.uncheck("#view-outline")
    _choose(page, "view-a", "mse")
    page.click("[data-mode=difference]")
    wanted = run.examples.denoised["mse"][0] - run.examples.reference[0]
    np.testing.assert_allclose(_pixels(page, "canvas-a"), _levels(wanted, 0, run.task.difference_window_hu), atol=30)
    assert page.locator("#title-reference").inner_text() == "B minus A"


def test_two_images_in_turn_never_faster_than_3_hz(open_page):
    page = open_page()
    page.click("[data-mode=flicker]")
    title = page.locator("#title-a")
    assert title.inner_text().startswith("A: ")
    page.click("#swap")
    assert title.inner_text().startswith("B: ")
    page.evaluate(
        """() => { window.turns = []; new MutationObserver(() => turns.push(performance.now()))
          .observe(document.getElementById("title-a"), { childList: true }); }"""
    )
    page.click("#flicker-run")
    page.wait_for_timeout(2300)
    page.click("#flicker-run")
    turns = page.evaluate("turns")
    assert 3 <= len(turns) <= 5
    assert min(np.diff(turns)) > 1000 / 3
    page.wait_for_timeout(700)
    assert page.evaluate("turns.length") == len(turns)


def test_nothing_flickers_where_motion_is_reduced(open_page):
    page = open_page(reduced_motion="reduce")
    page.click("[data-mode=flicker]")
    assert page.locator("#flicker-run").is_hidden()
    assert page.locator("#swap").is_visible()


def test_the_dial_moves_along_the_blend(open_page, run):
    page = open_page()
    page.uncheck("#view-outline")
    page.fill("#view-place", "0.5")
    saved = run.examples.denoised
    half = 0.5 * saved["lambda=0"][0] + 0.5 * saved["lambda=0.9"][0]
    np.testing.assert_allclose(_pixels(page, "canvas-b"), _levels(half, *run.task.window_hu), atol=12)
    measured = run.arm("lambda=0.9 alpha=0.5")
    said = page.locator("#dial-said").inner_text()
    assert f"RMSE {measured.image_quality.rmse_hu.value:.2f} HU" in said
    assert f"AUC {measured.observers['ho_eye'].value:.3f}" in said
    assert page.locator("#plot .dial").count() == 1
    # Between two measured arms: a straight line.
    page.fill("#view-place", "0.6")
    a, b = (run.arm(f"lambda=0.9 alpha={alpha}").image_quality.rmse_hu.value for alpha in (0.5, 0.75))
    assert f"RMSE {a + 0.4 * (b - a):.2f} HU" in page.locator("#dial-said").inner_text()


@pytest.mark.parametrize("order", ["loss", "false"])
def test_trials_stand_worst_first(open_page, run, order):
    page = open_page()
    _choose(page, "view-b", "lambda=0.9")
    _choose(page, "view-order", order)
    saved = run.examples
    difference = saved.denoised["lambda=0.9"] - saved.reference
    shown = page.locator("#view-trial option").all_inner_texts()
    if order == "false":
        assert _data(page)["images"]["trials"][0]["polarity"] == -1  # the lesions of these trials are dark
        disc = run.false_signals.disc_mm / run.task.pixel_mm
        values = {
            int(saved.trial[k]): peak_disc_hu(-difference[k : k + 1], diameter_px=disc)[0]
            for k in np.flatnonzero(~saved.signal_present)
        }
        verb = "paints up to"
    else:
        rows, columns = np.mgrid[: difference.shape[1], : difference.shape[2]]
        values = {}
        for k in np.flatnonzero(saved.signal_present):
            row, column = saved.center_px[k]
            inside = np.hypot(rows - row, columns - column) <= saved.diameter_px[k] / 2
            values[int(saved.trial[k])] = difference[k][inside].mean()
        verb = "loses"
    ranked = sorted(values, key=values.get, reverse=True)
    assert [int(re.search(r"trial (\d+)", text)[1]) for text in shown[: len(ranked)]] == ranked
    for text, trial in zip(shown, ranked, strict=False):
        told = float(re.search(rf"{verb} ([-−]?[\d.]+) HU", text)[1].replace("−", "-"))
        assert told == pytest.approx(values[trial], abs=0.11)


def test_a_button_copies_the_paragraph(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    button = page.locator("[data-copy=paragraph]")
    button.click()
    page.wait_for_function("""document.querySelector("[data-copy=paragraph]").textContent === "Copied" """)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(page.locator(".verdict").inner_text()[:60])
    assert "\n" not in copied


def test_the_page_reads_without_javascript(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator(".first img.drawing").is_visible()
    assert page.locator(".panel").count() == 4
    for hidden in ("#plot", "#card", "#view-trial", "[data-copy=paragraph]"):
        assert page.locator(hidden).is_hidden()
    assert page.locator("table").first.is_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_study_of_one_seed_prints_on_six_pages(open_page, one_seed_path, javascript):
    pypdf = pytest.importorskip("pypdf")
    page = open_page(one_seed_path, java_script_enabled=javascript)
    printed = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    assert 2 <= len(printed.pages) <= 6
    text = printed.pages[0].extract_text()
    assert "Does this denoiser keep what must be found" in text
    assert "Side by side" not in "".join(one.extract_text() for one in printed.pages)


def test_printed_is_light(open_page):
    page = open_page(color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    shown = Image.open(io.BytesIO(page.screenshot()))
    assert np.mean(np.asarray(shown.convert("L")) > 240) > 0.6


def test_focus_is_seen_on_every_control(open_page):
    page = open_page()
    controls = page.locator("main button:visible, main select:visible, main input:visible, main a:visible, summary")
    assert controls.count() > 15
    for control in controls.all():
        control.focus()
        page.keyboard.press("Shift")  # the keyboard is in use: the focus shows
        outline = control.evaluate("(one) => getComputedStyle(one).outlineStyle")
        assert outline != "none", control.evaluate("(one) => one.outerHTML.slice(0, 80)")
