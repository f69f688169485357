"""The page of a study with a task path: one training, a dial in percent of RMSE."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from taskct.denoisers.prices import SquaredError
from taskct.errors import UserError
from taskct.report import load_run, tables
from taskct.report.axes import axes_of
from taskct.report.compare import Compared, comparison
from taskct.report.families import families
from taskct.report.figure_files import figures_of
from taskct.report.headline import headline
from taskct.report.images import arm_images, raw_images
from taskct.report.latex import latex_tables
from taskct.report.live import live_data
from taskct.report.methods import methods_section
from taskct.report.mixtures import mixture_of, price_law
from taskct.report.page import render
from taskct.report.schema import PathRow, PrinciplePoint
from taskct.report.task_path import path_answers, quoted_point, restores_or_marks
from taskct.report.tradeoff import tradeoff_figure

NBSP = "\N{NO-BREAK SPACE}"
PRICES = (0.005, 0.01, 0.02, 0.05, 0.1)
ARMS = [f"path price={price:g}" for price in PRICES]


@pytest.fixture(scope="module", params=["both", "task-path"])
def method(request):
    return request.param


@pytest.fixture(scope="module")
def run(written, method):
    return load_run(written(method=method))


@pytest.fixture(scope="module")
def both(written):
    return load_run(written(method="both"))


def _plain(text):
    return text.replace(NBSP, " ")


def _interval(found, digits):
    return f"{found['value']:.{digits}f} [{found['ci_low']:.{digits}f}, {found['ci_high']:.{digits}f}]"


def _change(run, **changes):
    """The run with every working point changed."""
    rows = [dataclasses.replace(row, **changes) for row in run.task_path.rows]
    return dataclasses.replace(run, task_path=dataclasses.replace(run.task_path, rows=rows))


def test_a_path_is_a_family_that_starts_at_the_control(run):
    found = families(run)
    mine = next(family for family in found if family.names[0] == ARMS[0])
    assert (mine.names, mine.line) == (tuple(ARMS), ("lambda=0", *ARMS))
    assert "price" in mine.label
    assert len({(family.look.color, family.look.marker) for family in found}) == len(found)


def test_a_path_has_its_place_beside_the_seeds(written):
    axis = next(
        one for one in axes_of(load_run(written(method="task-path", n_seeds=2))) if one.name == "training.seeds"
    )
    mine = [point for point in axis.points if point.arm == "path price=0.02" and point.observer == "ho"]
    assert [point.seed for point in mine] == [0, 1]
    assert all(point.delta_auc is not None for point in mine)
    assert len(axis.lines) == 2 + len(PRICES)


def test_every_seed_has_one_curve_through_its_prices(written):
    seeds = load_run(written(method="task-path", n_seeds=2))
    ax = tradeoff_figure(seeds).axes[2]
    look = next(family.look for family in families(seeds) if family.names[0] == ARMS[0])
    curves = [line for line in ax.lines if line.get_color() == look.color and len(line.get_xdata()) == len(PRICES) + 1]
    curves = [line for line in curves if line.get_linestyle() == look.line]
    assert len(curves) == 2
    for line, seed in zip(curves, seeds.seeds, strict=True):
        rmse = [seeds.arm(name, seed).image_quality.rmse_hu.value for name in ("lambda=0", *ARMS)]
        assert line.get_xdata().tolist() == rmse


def test_the_verdict_says_the_price(run):
    assert run.choices.chosen_arm == "path price=0.02"
    gain, cost = map(_plain, headline(run).two_sentences)
    assert gain.startswith("At a price of 2 % in RMSE the task path raises AUC over the λ = 0 control for ")
    assert "more RMSE" in cost


def test_no_gain_of_a_price_is_said_plainly(written):
    text = _plain(headline(load_run(written(method="task-path", gain=False))).two_sentences[0])
    assert text.startswith("No gain shown: at a price of 2 % in RMSE, no observer's AUC differs")


def test_the_page_of_a_path_holds_together(run, undrawn):
    page = _plain(render(run))
    for words in (
        "The task path: what a price in RMSE buys",
        "it restores contrast where the lesion is",
        "5 working points",
    ):
        assert words in page
    assert len(_plain(" ".join(text for _, text in path_answers(run)))) < 1600


def test_a_page_without_a_path_says_nothing_of_it(run_folder, undrawn):
    page = render(load_run(run_folder))
    assert "task path" not in page.partition('<script type="application/json"')[0].replace("and a task path is", "")
    assert path_answers(load_run(run_folder)) == []


@pytest.mark.parametrize(
    ("near", "present", "absent", "said"),
    [
        (0.5, -2.0, 0.0, "it restores contrast where the lesion is"),
        (0.5, -2.0, -1.0, "raises the contrast of lesions, and invents some"),
        (0.5, 0.0, -1.0, "it invents contrast where there is none"),
        (0.05, -2.0, 0.0, "marks rather than restores"),
        (0.11, -2.0, 0.0, "do not tell"),
        (0.5, 0.0, 0.0, "do not tell"),
        (0.5, 2.0, 2.0, "do not tell"),  # against the contrast of these dark lesions
    ],
)
def test_restoring_and_marking_are_told_apart(both, near, present, absent, said):
    row = quoted_point(both)
    interval = type(row.rmse_ratio)
    values = {"energy_near": near, "mean_present_hu": present, "mean_absent_hu": absent}
    halves = {"energy_near": 0.02, "mean_present_hu": 0.3, "mean_absent_hu": 0.3}
    changes = {name: interval(v, v - halves[name], v + halves[name]) for name, v in values.items()}
    assert said in restores_or_marks(both, dataclasses.replace(row, **changes))


def test_what_was_not_measured_is_not_said(both):
    bare = _change(both, energy_near=None, way_to_bound={})
    assert [lead for lead, _ in path_answers(bare)] == ["Against the other ways to the task"]


def test_three_currencies_stand_side_by_side(run):
    table = tables.currency_table(run)
    assert [row[0].replace(NBSP, " ") for row in table.rows[::2]] == [
        "0 (control)",
        "0.5 %",
        "1 %",
        "2 %",
        "5 %",
        "10 %",
    ]
    summary = {arm.name: arm for arm in run.summary.arms}
    frozen = json.loads((run.path / "frozen.json").read_text())["rows"]
    painted = {row["arm"]: row for row in json.loads((run.path / "hallucination.json").read_text())["arms"]}
    for k, arm in enumerate(["lambda=0", *ARMS]):
        for row, observer in zip(table.rows[2 * k : 2 * k + 2], ("ho", "ho_eye"), strict=True):
            _, _, _, refitted, on_control, on_reference, way, rate = map(_plain, row)
            auc = dataclasses.asdict(summary[arm].observers[observer])
            assert refitted.startswith(_interval(auc, 3))
            assert ("Δ" in refitted) == (arm != "lambda=0")
            for cell, source in ((on_control, "control"), (on_reference, "reference")):
                wanted = (arm, observer, source)
                told = next(r for r in frozen if (r["arm"], r["observer"], r["fitted_on"]) == wanted)
                assert cell.startswith(
                    _interval({"value": told["auc"].get("auc", told["auc"].get("value")), **told["auc"]}, 3)
                )
                assert ("Δ" in cell) == (arm != "lambda=0")
            share = {key: 100 * value for key, value in painted[arm]["false_signal_rate"].items()}
            assert rate == _interval(share, 2)
            assert (way != "–") == (arm != "lambda=0" and observer == "ho")


def test_the_correction_is_tabulated(run):
    rows = [list(map(_plain, row)) for row in tables.correction_table(run).rows]
    told = json.loads((run.path / "path.json").read_text())["rows"]
    for row, one in zip(rows, told, strict=True):
        assert row[3] == _interval(one["rmse_ratio"], 4)
        assert row[4] == _interval({key: 100 * value for key, value in one["energy_near"].items()}, 1)
        assert row[5] == "10.0"
    limited = dataclasses.replace(run.task_path, principle=[PrinciplePoint(0.02, 0.95)])
    table = tables.correction_table(dataclasses.replace(run, task_path=limited))
    assert [row[-1] for row in table.rows] == ["–", "–", "0.950", "–", "–"]


def test_the_path_stands_against_blends_and_trained_networks(both):
    rows = tables.path_curve_table(both).rows
    told = json.loads((both.path / "tradeoff.json").read_text())["observers"]
    assert [row[1] for row in rows] == ["blend", "trained with λ"] * (len(rows) // 2)
    for row, one in zip(rows, told["slnn"]["path_curves"], strict=False):
        assert row[2] == {"path": "task path"}.get(one["better"], row[2])
        assert f"{one['delta_auc']['value']:+.3f}".replace("-", "−") in row[3]
    assert "Against the other ways to the task" in dict(path_answers(both))
    assert "task path minus the other" in dict(path_answers(both))["Against the other ways to the task"]


def test_a_study_of_a_path_alone_has_no_other_curve(written):
    alone = load_run(written(method="task-path"))
    assert tables.path_curve_table(alone) is None
    table = tables.tradeoff_table(alone)
    assert [column for column in table.columns if "λ" in column or "curve" in column] == []
    assert "λ" not in table.caption
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert [family.names for family in families(alone)] == [("lambda=0",), tuple(ARMS), ("mse",)]


@pytest.mark.parametrize(
    "square", [SquaredError(64.0, 0.5, 6.0), SquaredError(10.0, -0.3, 0.2), SquaredError(9.0, 0.0, 4.0)]
)
@pytest.mark.parametrize("prices", [PRICES, (0.02, 0.1)])
def test_the_law_of_prices_is_that_of_the_squared_error(square, prices):
    rows = [_row(square, price) for price in prices]
    law, end = price_law(rows, rows[-1].strength), square.strength(prices[-1])
    for price in (0.0, 0.013, 0.07):
        assert law.share(price) == pytest.approx(square.strength(price) / end, rel=1e-6, abs=1e-12)


def _row(square, price):
    return PathRow(f"path price={price:g}", 0, price, square.strength(price), 1.0, None, None, None, None, None)


def test_one_price_tells_the_law_of_a_control_at_its_best():
    square = SquaredError(9.0, 0.0, 4.0)
    law = price_law([_row(square, 0.05)], square.strength(0.05))
    assert law.share(0.02) == pytest.approx(square.strength(0.02) / square.strength(0.05))
    assert price_law([], 1.0) is None


def test_images_of_a_price_are_mixed_of_the_control_and_the_end(both):
    saved = {name: both.examples.denoised[name] for name in ("lambda=0", ARMS[-1])}
    fewer = dataclasses.replace(both, examples=dataclasses.replace(both.examples, denoised=saved))
    square = SquaredError(64.0, 0.5, 6.0)
    share = square.strength(0.02) / square.strength(0.1)
    mixed = (1 - share) * saved["lambda=0"] + share * saved[ARMS[-1]]
    np.testing.assert_allclose(arm_images(fewer, "path price=0.02"), mixed)
    assert mixture_of(fewer, ARMS[-1]) is None
    assert arm_images(_change(fewer, seed=9), "path price=0.02") is None


def test_the_script_works_the_prices_out(both):
    raw = raw_images(both)
    assert [name for name in raw.arms if name.startswith("path")] == [ARMS[-1]]
    path, blend = live_data(both, raw)["images"]["dials"]
    assert path["at"] == [0.0, 0.5, 1.0, 2.0, 5.0, 10.0]
    assert path["shares"] == sorted(path["shares"])
    assert (path["shares"][0], path["shares"][-1], blend["law"]) == (0.0, 1.0, None)
    assert blend["at"] == blend["shares"]


def test_numbers_leave_the_page_with_their_price(run, undrawn):
    header, *rows = figures_of(run)["tradeoff"].data().splitlines()
    column = header.split(",").index("price")
    priced = {row.split(",")[column] for row in rows if row.startswith("path")}
    assert priced == {f"{price:g}" for price in PRICES}
    assert r"\label{tab:currencies}" in latex_tables(run)


def test_the_methods_name_the_path(run, method):
    text = _plain(methods_section(run).text)
    assert "The task path is the frozen control plus" in text
    assert "2 %, 5 % and 10 % in RMSE" in text
    assert ("L(λ)" in text) == (method == "both")
    assert ("Blends" in text) == (method == "both")


def test_runs_with_a_path_are_compared(written, tmp_path):
    folders = [shutil.copytree(written(method=one), tmp_path / one) for one in ("both", "task-path")]
    runs = [Compared(letter, load_run(folder)) for letter, folder in zip("AB", folders, strict=True)]
    page = comparison(runs)
    own = next(section.tables[0] for section in page.sections if section.heading.startswith("Each run"))
    assert [row[1].replace(NBSP, " ") for row in own.rows if row[0] == "B"][-1] == "task path, price 10 %"


def test_a_run_without_the_file_has_no_dial(written, tmp_path, undrawn):
    folder = shutil.copytree(written(method="task-path"), tmp_path / "run")
    _forget(folder)
    (folder / "path.json").unlink()
    found = load_run(folder)
    assert path_answers(found) == []
    assert tables.currency_table(found) is None
    assert "what a price in RMSE buys" not in render(found)


def test_a_path_of_other_arms_is_refused(written, tmp_path):
    folder = shutil.copytree(written(method="task-path"), tmp_path / "run")
    _forget(folder)
    told = json.loads((folder / "path.json").read_text())
    told["rows"][0]["arm"] = "path price=0.07"
    (folder / "path.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"path\.json names 'path price=0\.07', no arm of summary\.json"):
        load_run(folder)
    (folder / "path.json").write_text('{"rows": [{"arm": "path price=0.02"}]}')
    with pytest.raises(UserError, match=r"path\.json is broken at 'rows"):
        load_run(folder)


def _forget(folder):
    told = json.loads((folder / "provenance.json").read_text())
    told["stages"]["results"].pop("digests", None)
    (folder / "provenance.json").write_text(json.dumps(told))


def test_an_observer_of_the_low_dose_images_alone_has_no_panel(both):
    """As a bound, which is asked for nothing else: it stands in the tables, and has no point of a trade-off."""
    arms = [
        dataclasses.replace(arm, observers={**arm.observers, "cnn": arm.observers["ho"]})
        if arm.name == "low-dose"
        else arm
        for arm in both.summary.arms
    ]
    bounded = dataclasses.replace(both, summary=dataclasses.replace(both.summary, arms=arms))
    assert "cnn" in bounded.observers
    assert bounded.drawn_observers == both.drawn_observers == [o for o in both.observers if o != "cnn"]
