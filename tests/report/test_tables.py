"""Tables of what a study measured beside AUC and image quality: each is there where its file is, and says what it "
"says."""

import json

import pytest

from taskct.errors import UserError
from taskct.report import load_run, tables
from taskct.report.load import FURTHER

INTERVAL = {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9}
DELTA = {"value": 0.03, "ci_low": 0.01, "ci_high": 0.05}
NAMES = [
    "limit_table",
    "limit_paired_table",
    "frozen_table",
    "efficiency_table",
    "harm_table",
    "physics_table",
    "resolution_table",
    "false_positive_table",
    "strata_table",
    "convention_table",
]


def plain(table):
    return [[cell.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-") for cell in row] for row in table.rows]


def write(run, name, content):
    (run / f"{name}.json").write_text(json.dumps(content))


def test_a_run_without_the_files_has_no_tables(make_run):
    folder = make_run()
    for name in FURTHER:
        (folder / f"{name}.json").unlink(missing_ok=True)
    run = load_run(folder)
    assert [name for name in NAMES if getattr(tables, name)(run) is not None] == []


def test_limits_and_why_not(make_run):
    run = make_run()
    row = {"arm": "mse", "seed": 0, "n_fresh": 9, "auc": INTERVAL}
    rows = [
        row | {"observer": "ho", "limit": INTERVAL, "why_not": None},
        row | {"observer": "slnn", "limit": None, "why_not": "it is not linear"},
    ]
    pair = {"arm": "mse", "versus": "low-dose", "observer": "ho", "seed": 0, "delta": DELTA, "p_value": 0.01}
    write(run, "limits", {"rows": rows, "paired": [pair | {"why_not": None}], "how": "from two halves"})
    loaded = load_run(run)
    table = tables.limit_table(loaded)
    assert plain(table) == [["MSE", "–", "– (1)", "0.800 [0.700, 0.900]", "–"]]
    assert "From two halves. (1) It is not linear." in table.caption
    assert plain(tables.limit_paired_table(loaded)) == [
        ["MSE", "low-dose images", "–", "–", "+0.030 [+0.010, +0.050] p 0.010", "–"]
    ]
    key = plain(tables.key_table(loaded))
    ho = next(cells for cells in key if cells[0] == "fresh HO")
    assert ho[2] == "0.800 [0.700, 0.900]"
    assert ho[5] == "+0.030 [+0.010, +0.050]"
    assert ho[1].endswith("*")  # low-dose has no limit here


def test_frozen_observers_stand_beside_those_fitted_afresh(make_run):
    run = make_run()
    rows = [
        {"arm": "lambda=0.9", "seed": 0, "observer": "ho", "fitted_on": on, "auc": INTERVAL, "delta": delta}
        for on, delta in (("low-dose", DELTA), ("reference", None))
    ]
    write(run, "frozen", {"rows": rows})
    loaded = load_run(run)
    fresh = loaded.arm("lambda=0.9").observers["ho"]
    first, second = plain(tables.frozen_table(loaded))
    assert first[:5] == ["λ = 0.9", "HO", "low-dose images", "0.800 [0.700, 0.900]", "+0.030 [+0.010, +0.050]"]
    assert first[5].startswith(f"{fresh.value:.3f} [")
    assert second[2:5] == ["references", "0.800 [0.700, 0.900]", "–"]


def test_chain_keeps_its_order_and_marks_what_has_no_limit(make_run):
    run = make_run()
    rows = [
        {"step": "b", "arm": "low-dose", "observer": "cnn", "auc": INTERVAL, "d_a_squared": INTERVAL, "ratio": INTERVAL}
        | {"limit": True},
        {
            "step": "a",
            "arm": "mse",
            "observer": "ho",
            "auc": INTERVAL,
            "d_a_squared": None,
            "ratio": None,
            "limit": False,
        },
    ]
    write(run, "efficiency", {"rows": rows})
    table = tables.efficiency_table(load_run(run))
    assert [row[0] for row in table.rows] == ["b", "a"]
    assert [row[3].endswith("*") for row in table.rows] == [False, True]
    assert table.rows[1][4:] == ["–", "–"]


def test_harm_and_what_could_not_be_measured(make_run):
    run = make_run()
    misled = {"observer": "ho", "fitted_on": "own", "criterion": 1.0}
    misled |= {"false_positive_fraction": DELTA, "true_positive_fraction": INTERVAL}
    row = {"arm": "lambda=0.9", "seed": 0, "contrast_recovery": INTERVAL, "map_max_abs_hu": 3.456, "noise_hu": INTERVAL}
    row |= {"ttf50_per_mm": None, "why_not": {"ttf50_per_mm": "too few trials"}, "false_positives": [misled]}
    write(run, "harm", {"rows": [row], "how": "differences are denoised − reference"})
    loaded = load_run(run)
    table = tables.harm_table(loaded)
    assert plain(table) == [["λ = 0.9", "80 [70, 90]", "0.80 [0.70, 0.90]", "–", "–", "–", "3.46"]]
    assert "λ = 0.9: too few trials." in table.caption.replace("\N{NO-BREAK SPACE}", " ")
    assert plain(tables.false_positive_table(loaded)) == [
        ["λ = 0.9", "HO", "the arm's images", "3.0 [1.0, 5.0]", "80.0 [70.0, 90.0]"]
    ]


def test_physics_and_what_could_not_be_measured(make_run):
    run = make_run()
    row = {"arm": "lambda=0.9", "seed": 0, "noise_ratio": INTERVAL, "hu_bias": DELTA, "uneven_hu": DELTA}
    row |= {"uneven_side": "left", "cnr": INTERVAL, "why_not": {"d_npw": "too few trials"}}
    write(run, "physics", {"rows": [row], "how": "noise is image less reference"})
    loaded = load_run(run)
    assert plain(tables.physics_table(loaded)) == [
        ["λ = 0.9", "0.80 [0.70, 0.90]", "–", "–", "+0.03 [+0.01, +0.05]", "–", "+0.03 [+0.01, +0.05] (left)"]
    ]
    table = tables.resolution_table(loaded)
    assert plain(table) == [["λ = 0.9", "0.80 [0.70, 0.90]", "–", "–", "–", "–", "–"]]
    assert "λ = 0.9: too few trials." in table.caption.replace("\N{NO-BREAK SPACE}", " ")


def test_strata_have_a_line_for_each_kind_of_lesion(make_run):
    run = make_run()
    size, contrast = {"low": 4.0, "high": 5.25}, {"low": 30.0, "high": 50.0}
    rows = [
        {"arm": "lambda=0.9", "seed": 0, "observer": name, "size": size, "contrast": contrast, "n_present": 21}
        | {"auc": INTERVAL, "delta": delta}
        for name, delta in (("ho", DELTA), ("ho_eye", None))
    ]
    write(run, "strata", {"rows": rows})
    (row,) = plain(tables.strata_table(load_run(run)))
    assert row[:4] == ["λ = 0.9", "4 to 5.25 mm", "30 to 50 HU", "21"]
    assert row[6:] == ["0.800 [0.700, 0.900] Δ +0.030 [+0.010, +0.050]", "0.800 [0.700, 0.900]"]


def test_conventions_are_explained_in_their_order(make_run):
    run = make_run()
    quality = {"rmse_hu": INTERVAL, "psnr_db": None, "ssim": INTERVAL}
    rows = [{"arm": "mse", "seed": 0, "convention": name, "n_trials": 9, **quality} for name in ("a", "z")]
    told = [{"name": name, "text": f"{name} cut", "source": "somewhere"} for name in ("z", "a")]
    write(run, "conventions", {"rows": rows, "conventions": told})
    table = tables.convention_table(load_run(run))
    assert [row[0] for row in table.rows] == ["z", "a"]
    assert table.rows[0][3] == "–"
    assert "z: z cut (somewhere). a: a cut (somewhere)." in table.caption


@pytest.mark.parametrize("name", ["limits", "frozen", "efficiency", "harm", "physics", "strata", "conventions"])
def test_a_file_of_another_run_is_refused(make_run, name):
    run = make_run()
    row = {
        "arm": "lambda=0.123",
        "seed": 0,
        "observer": "ho",
        "n_fresh": 9,
        "auc": INTERVAL,
        "limit": None,
        "step": "a",
    }
    row |= {"size": {"low": 1, "high": 2}, "contrast": {"low": 1, "high": 2}, "n_present": 2, "fitted_on": "mse"}
    row |= {"convention": "a", "n_trials": 2, "rmse_hu": None, "psnr_db": None, "ssim": None}
    row["limit"] = False if name == "efficiency" else None
    write(run, name, {"rows": [row]})
    with pytest.raises(UserError, match=rf"{name}.json names 'lambda=0.123', no arm of summary.json"):
        load_run(run)


def test_a_broken_file_is_one_line(make_run):
    run = make_run()
    (run / "limits.json").write_text('{"rows": [{"arm": 3}]}')
    with pytest.raises(UserError, match=r"limits.json is broken at 'rows.0.arm'"):
        load_run(run)


def test_beside_limits_tables_at_n_say_so(make_run):
    run = make_run()
    frozen = {"arm": "mse", "seed": 0, "observer": "ho", "fitted_on": "low-dose", "auc": INTERVAL}
    write(run, "frozen", {"rows": [frozen]})
    said = "training trials, not in the limit"
    without = load_run(run)
    assert said not in tables.tradeoff_table(without).caption + tables.frozen_table(without).caption
    limit = {"arm": "mse", "seed": 0, "observer": "ho", "n_fresh": 9, "auc": INTERVAL, "limit": INTERVAL}
    write(run, "limits", {"rows": [limit]})
    loaded = load_run(run)
    assert said in tables.tradeoff_table(loaded).caption
    assert said in tables.frozen_table(loaded).caption
