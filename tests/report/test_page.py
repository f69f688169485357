import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from taskct.errors import UserError
from taskct.report import harm, load_run, write_report

VOID = {"meta", "img", "br", "link", "hr", "input", "image", "circle", "rect"}


SCRIPTS = 8  # of the page itself: the base, the data, the images, two libraries and three of its own


class Page(HTMLParser):
    """Tags, attributes, table rows and text of a page; fails on tags that do not close."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.rows, self.text, self.open, self.code = [], [], [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open
        self.words = re.sub(r"\s+", " ", "".join(self.text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.code.append(data)
            return
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")


@pytest.fixture(scope="module")
def page(run_folder):
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    assert path.stat().st_size < 6e6  # small enough to send
    return Page(path.read_text(encoding="utf-8"))


def test_page_loads_nothing_from_elsewhere(page):
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        if name in ("src", "srcset", "data", "poster", "action"):
            assert value.startswith("data:image/")
        if name == "href":
            assert value.startswith("data:image/png" if tag == "image" else "#")
    (policy,) = (value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data:;")  # the browser holds the page to it
    style = "".join(code for code in page.code if "@media" in code)
    assert "url(" not in style
    assert "@import" not in style


def test_links_lead_somewhere(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    links = {value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert len(ids) == len(set(ids))
    assert links <= set(ids)


def test_every_picture_has_a_text(page):
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == page.tags.count("img") == 4
    assert all(len(alt) > 30 for alt in alts)
    assert page.tags.count("figcaption") == page.tags.count("figure") == 3
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    # The strip: reference, low-dose, MSE, λ = 0.9 and the best arm within the tolerance. The panel: four trials as
    # reference and five arms, and their differences.
    assert len(labels) == page.tags.count("svg") == page.tags.count("image") == 5 + 4 * 11
    assert all(labels)


def _cell(estimate, digits, sign=""):
    value = estimate.get("value", estimate.get("auc", estimate.get("delta_auc")))

    def text(number):
        rounded = f"{number:{sign}.{digits}f}"
        return rounded.lstrip("+-") if float(rounded) == 0 else rounded

    return f"{text(value)} [{text(estimate['ci_low'])}, {text(estimate['ci_high'])}]"


def _label(name):
    words = {"lambda": "λ = {}", "alpha": "α = {}", "head": "{} head"}
    fixed = {"low-dose": "low-dose images", "mse": "MSE"}
    return fixed.get(name) or ", ".join(words[k].format(v) for k, v in (w.split("=") for w in name.split()))


def test_every_number_of_every_arm_is_there(page, run_folder):
    summary = json.loads((run_folder / "summary.json").read_text())
    for arm in summary["arms"]:
        quality, bias = arm["image_quality"], arm["hallucination"]
        observers = [arm["observers"].get(o) for o in ("slnn_joint", "slnn", "ho", "ho_eye")]
        assert [
            _label(arm["name"]),
            _cell(quality["rmse_hu"], 2),
            _cell(quality["psnr_db"], 2),
            _cell(quality["ssim"], 3),
            *("–" if o is None else _cell(o, 3) for o in observers),
        ] in page.rows
        wanted = [_cell(bias[key], 2, "+") for key in ("absent_bias_hu", "present_bias_hu")]
        assert [_label(arm["name"]), *wanted] in [[*row[:2], *row[3:4]] for row in page.rows]
    for row in summary["paired"]:
        found = _at_n(page, _label(row["arm"]), _label(row["versus"]))
        assert len(found) == 1
        p = "< 0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
        assert any(cell.startswith(f"{_cell(row, 3, '+')} p {p}") for cell in found[0])
    rates = json.loads((run_folder / "hallucination.json").read_text())["arms"]
    for row in rates:
        rate, delta = (_percent(row[key]) for key in ("false_signal_rate", "delta_to_control"))
        wanted = [_cell(rate, 1), _cell(delta, 1, "+") if delta else "–"]
        assert [_label(row["arm"]), *wanted] in [[r[0], *r[-2:]] for r in page.rows]


def _at_n(page, *pair):
    """The row of two arms in the table of differences at n, which alone adjusts p; another has them in the limit."""
    return [row for row in page.rows if row[:2] == list(pair) and any("(Holm" in cell for cell in row)]


def _percent(estimate):
    return estimate and {key: 100 * value for key, value in estimate.items()}


def test_repeats_of_the_control_are_outside_the_holm_family(page, run_folder):
    rows = json.loads((run_folder / "summary.json").read_text())["paired"]
    repeats = [r for r in rows if r["arm"] == "lambda=0 head=pixel" and r["observer"] != "slnn_joint"]
    assert f"(Holm) for the {len(rows) - len(repeats)} comparisons" in page.words
    (cells,) = _at_n(page, "λ = 0, pixel head", "low-dose images")
    assert [cell.endswith("(Holm –)") for cell in cells[2:]] == [False, True, True, True]
    assert "λ = 0 with the other head is the same denoiser" in page.words


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("n", "shown"), [(19, False), (20, True)])
def test_p_values_need_backgrounds(make_run, n, shown):
    page = Page(write_report(make_run(n_backgrounds=n)).read_text(encoding="utf-8"))
    cells = [cell for row in page.rows for cell in row if " (Holm " in cell]
    assert cells
    assert all(cell.endswith("p – (Holm –)") for cell in cells) is not shown
    assert (f"No p is shown: {n} distinct slices are too few" in page.words) is not shown


@pytest.mark.usefixtures("undrawn")
def test_a_handful_of_trials_with_backgrounds_of_their_own_has_no_p(make_run):
    run = make_run()
    task = json.loads((run / "task.json").read_text())
    few = {"unit": "trial", "over_backgrounds": True, "few": True, "p_values": False}
    (run / "task.json").write_text(json.dumps(task | {"resampling": few}))
    words = Page(write_report(run).read_text(encoding="utf-8")).words
    assert "test trials are too few for a test." in words
    assert "test trials are too few to tell a gain from chance" in words
    assert "raises AUC over" not in words


@pytest.mark.usefixtures("undrawn")
def test_panel_shows_the_first_trials_of_each_class(make_run):
    run = make_run()
    with np.load(run / "examples.npz") as file:
        np.testing.assert_array_equal(file["signal_present"][:10], np.repeat([True, False], 5))
        numbers = file["trial"].tolist()
    words = Page(write_report(run).read_text(encoding="utf-8")).words
    wanted = [(numbers[k], "present") for k in (0, 1)] + [(numbers[k], "absent") for k in (5, 6)]
    assert re.findall(r"Trial (\d+), signal (present|absent)", words) == [(str(n), word) for n, word in wanted]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("monotone", "word"), [(True, "yes"), (False, "no")])
def test_rmse_along_lambda(make_run, monotone, word):
    run = make_run()
    tradeoff = json.loads((run / "tradeoff.json").read_text())
    (run / "tradeoff.json").write_text(json.dumps(tradeoff | {"rmse_monotone": monotone}))
    words = Page(write_report(run).read_text(encoding="utf-8")).words
    assert f"RMSE rises with λ throughout, but for chance: {word}." in words
    assert "a blend has no jointly trained head" in words


@pytest.mark.usefixtures("undrawn")
def test_settings_provenance_and_time(make_run):
    run = make_run()
    provenance = json.loads((run / "provenance.json").read_text())
    provenance["stages"]["results"] |= {"wall_s": 3785.0, "finished": "2026-01-05T10:00:00Z"}
    (run / "provenance.json").write_text(json.dumps(provenance))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert ["training.lambdas", "0, 0.5, 0.75, 0.9"] in page.rows
    assert ["scanner.pixel_mm", "1"] in page.rows
    assert ["torch", provenance["libraries"]["torch"]] in page.rows
    assert ["results", "1 h 03 min", "2026-01-05T10:00:00Z"] in page.rows


@pytest.mark.usefixtures("undrawn")
def test_headline_follows_the_numbers(page, no_gain_folder):
    none = Page(write_report(no_gain_folder).read_text(encoding="utf-8"))
    assert "No gain shown" in none.words
    assert "No gain shown" not in page.words


@pytest.mark.usefixtures("undrawn")
def test_text_is_escaped(make_run):
    run = make_run(study="<script>alert(1)</script> & co")
    task = json.loads((run / "task.json").read_text())
    (run / "task.json").write_text(json.dumps(task | {"description": "<img src=http://example.com/x>"}))
    (run / "study.yaml").write_text("name: '<script src=x>'\n")
    html = write_report(run).read_text(encoding="utf-8")
    page = Page(html)
    assert page.tags.count("script") == SCRIPTS
    assert page.tags.count("img") == 4
    assert "<script>alert(1)</script> & co" in page.words


@pytest.mark.usefixtures("undrawn")
def test_several_seeds_have_a_column(make_run):
    page = Page(write_report(make_run(n_seeds=2)).read_text(encoding="utf-8"))
    assert {row[1] for row in page.rows if row[0] == "λ = 0.9, α = 0.5" and len(row) == 9} == {"0", "1"}


@pytest.mark.usefixtures("undrawn")
def test_templates_may_be_missing(make_run):
    run = make_run()
    with np.load(run / "examples.npz") as file:
        arrays = {k: v for k, v in file.items() if not k.startswith("template/")}
    np.savez(run / "examples.npz", **arrays)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.tags.count("img") == 3


def test_what_is_invented_stands_beside_what_is_kept(page, run_folder):
    rates = json.loads((run_folder / "hallucination.json").read_text())["arms"]
    for name in ("low-dose", "mse", "lambda=0.9"):
        (rate,) = (_percent(row["false_signal_rate"]) for row in rates if row["arm"] == name)
        words = page.words.replace("\N{NO-BREAK SPACE}", " ")
        assert f"{_cell(rate, 1)} % ({_label(name)})" in words.split("Invented: ")[1][:300]


def _with_maps(run, limit=3.0):
    rng = np.random.default_rng(5)
    arrays = {"frequency_per_mm": np.linspace(0.02, 0.5, 12)}
    for name in ("low-dose", "mse", "lambda=0", "lambda=0.9"):
        arrays[f"region_map/{name}"] = rng.uniform(-1, 1, (48, 48))
        arrays[f"site_map/{name}"] = rng.uniform(-1, 1, (15, 15))
        arrays[f"nps/{name}"] = np.exp(-arrays["frequency_per_mm"] * 5)
        arrays[f"ttf/{name}"] = np.exp(-arrays["frequency_per_mm"] * 3)
    arrays["site_map/mse"][3, 4] = -limit
    np.savez(run / "harm.npz", **arrays)


def test_maps_of_harm_stand_on_one_scale(make_run):
    run = make_run()
    _with_maps(run)
    found = harm.site_maps(load_run(run), load_run(run).harm_maps)
    assert found.limit_hu == 3.0
    mse = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.images[0].uri.split(",")[1]))))
    assert mse.shape == (15, 15, 3)
    red, _, blue = mse[3, 4].astype(int)  # the lowest of all: the darkest blue
    assert (red, blue) == (5, 97)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.tags.count("image") == 5 + 4 * 11 + 2 * 3
    assert "−3 HU" in page.words
    assert "no maps of harm" not in page.words


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_harm_says_so(make_run):
    run = make_run()
    (run / "harm.npz").unlink()
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.tags.count("img") == 4
    assert "no maps of harm and no spectra. taskct evaluate of this taskct makes them" in page.words


@pytest.mark.usefixtures("undrawn")
def test_a_page_of_large_images_stays_below_10_mb(make_run):
    run = make_run()
    with np.load(run / "examples.npz") as file:
        arrays = {k: v for k, v in file.items() if not k.startswith("template/")}
    noise = np.random.default_rng(0).normal(0, 20, (256, 256)).astype(np.float32)
    for name, values in arrays.items():
        if values.ndim == 3:
            arrays[name] = np.broadcast_to(noise, (len(values), *noise.shape))
    np.savez(run / "examples.npz", **arrays)
    path = write_report(run)
    assert 5e6 < path.stat().st_size < 10e6
    assert "To keep this page small, " in Page(path.read_text(encoding="utf-8")).words


def test_physics_stand_on_the_page_with_their_curves(make_run):
    run = make_run()
    interval = {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9}
    without = Page(write_report(run).read_text(encoding="utf-8")).tags.count("img")
    row = {"arm": "mse", "seed": 0, "noise_ratio": interval, "d_npwe": interval}
    (run / "physics.json").write_text(json.dumps({"rows": [row], "how": "as it is"}), encoding="utf-8")
    curves = {"frequency_per_mm": np.linspace(0.02, 0.5, 12), "distance_mm": np.linspace(1, 20, 6)}
    for name in ("low-dose", "mse", "lambda=0", "lambda=0.9"):
        curves |= {f"nps_ratio/{name}": np.linspace(0.9, 0.2, 12), f"noise_by_position/{name}": np.linspace(5, 4, 6)}
    np.savez(run / "physics.npz", **curves)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "Physics of the images" in page.words
    assert page.tags.count("img") == without + 1
    found = load_run(run).physics_curves
    assert list(found.nps_ratio) == ["low-dose", "mse", "lambda=0", "lambda=0.9"]
    np.savez(run / "physics.npz", **(curves | {"nps_ratio/mse": np.ones(3)}))
    with pytest.raises(UserError, match=r"physics\.npz has 'nps_ratio/mse' of shape \(3,\)"):
        load_run(run)


def test_a_map_of_the_wrong_shape_is_refused(make_run):
    run = make_run()
    np.savez(run / "harm.npz", **{"frequency_per_mm": np.ones(3), "nps/mse": np.ones(4)})
    with pytest.raises(UserError, match=r"harm\.npz has 'nps/mse' of shape \(4,\)"):
        load_run(run)


@pytest.mark.parametrize("stage", ["write_text", "replace"])
def test_interrupted_write_leaves_the_old_report(make_run, monkeypatch, stage):
    run = make_run()
    (run / "report.html").write_text("old")
    write = Path.write_text

    def interrupted(self, *args, **kwargs):
        if stage == "write_text":
            write(self, "half", encoding="utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("taskct.report.page.render", lambda run: "new")
        patched.setattr(Path, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_report(run)
    assert (run / "report.html").read_text() == "old"
    assert not [path for path in run.iterdir() if path.suffix == ".tmp"]


def test_broken_run_leaves_the_old_report(make_run):
    run = make_run()
    (run / "report.html").write_text("old")
    (run / "scores.csv").unlink()
    with pytest.raises(UserError):
        write_report(run)
    assert (run / "report.html").read_text() == "old"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("n_seeds", [1, 2])
def test_retraining_stands_on_the_page_of_several_seeds(make_run, n_seeds):
    run = make_run(n_seeds=n_seeds)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    rows = json.loads((run / "retraining.json").read_text())["rows"]
    assert bool(rows) == (n_seeds == 2)
    assert ("The same differences over 2 training seeds" in page.words) == (n_seeds == 2)
    for row in rows:
        assert any(cell.startswith(_cell(row, 3, "+")) for cells in page.rows for cell in cells)
    # The text that quotes one seed says what holds over them, and which interval holds a training too.
    assert ("Over training seeds and test trials at once: " in page.words) == (n_seeds == 2)
    assert ("but for the table over training seeds" in page.words) == (n_seeds == 2)
    assert "Such an interval does not cover what another training would change" in page.words


def test_navigation_words_stand_apart(page):
    assert "Answers Arm by arm Images Trade-off Numbers Harm Checks Methods Settings How to" in page.words


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "missing", [["mse"], ["lambda=0.9"], ["lambda=0"], ["lambda=0", "lambda=0.9", "mse", "low-dose"]]
)
def test_an_arm_may_lack_an_observer(make_run, missing):
    """Where an observer could not be fitted to an arm, the page is there without it."""
    run = make_run()
    summary = json.loads((run / "summary.json").read_text())
    for arm in summary["arms"]:
        if arm["name"] in missing:
            del arm["observers"]["ho"]
    summary["paired"] = [
        row for row in summary["paired"] if row["observer"] != "ho" or not {row["arm"], row["versus"]} & set(missing)
    ]
    (run / "summary.json").write_text(json.dumps(summary))
    tradeoff = json.loads((run / "tradeoff.json").read_text())
    tradeoff["observers"]["ho"] = {"curves": None, "within_tolerance": None, "monotone": None}
    (run / "tradeoff.json").write_text(json.dumps(tradeoff))
    choices = json.loads((run / "choices.json").read_text())
    for row in choices["validation"]:
        if row["arm"] in missing:
            del row["auc"]["ho"]
            del choices["regularization"][row["arm"]]["ho"]
    (run / "choices.json").write_text(json.dumps(choices))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    row = next(r for r in page.rows if r[0] == "fresh HO" and len(r) == 7)
    columns = {"low-dose": 1, "mse": 2, "lambda=0": 3, "lambda=0.9": 4}
    assert {name for name, column in columns.items() if row[column] == "–"} == set(missing)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("n", "shown"), [(9, False), (200, True)])
def test_p_of_retraining_goes_with_the_others(make_run, n, shown):
    run = make_run(n_seeds=2, n_backgrounds=n)
    row = next(
        row
        for row in json.loads((run / "retraining.json").read_text())["rows"]
        if (row["arm"], row["versus"], row["observer"]) == ("lambda=0.9", "lambda=0", "ho")
    )
    page = Page(write_report(run).read_text(encoding="utf-8"))
    cells = [cell for cells in page.rows for cell in cells if cell.startswith(_cell(row, 3, "+"))]
    p = "< 0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
    assert any(f"p {p}" in cell for cell in cells) is shown
    assert "Obuchowski–Rockette, clustered covariance" in page.words


@pytest.mark.usefixtures("undrawn")
def test_a_group_without_an_interval_says_so(make_run):
    run = make_run()
    rows = [
        {"arm": "lambda=0", "seed": 0, "observer": "ho", "group": name, "n_present": 9, "n_absent": 9, "auc": 0.8}
        | {"ci_low": low, "ci_high": high}
        for name, low, high in (("liver", None, None), ("lung", 0.7, 0.9))
    ]
    (run / "groups.json").write_text(json.dumps({"rows": rows}))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert ["λ = 0", "liver", "–", "–", "0.800 [–]", "–"] in page.rows
    assert ["λ = 0", "lung", "–", "–", "0.800 [0.700, 0.900]", "–"] in page.rows
