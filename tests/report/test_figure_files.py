import csv
import io

import numpy as np
import pytest

from taskct.metrics.roc import auc
from taskct.report import figure_files, load_run, write_figures
from taskct.report.figure_files import figures_of

NAMES = {"first", "tradeoff", "roc", "images-present", "images-absent", "templates"}


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_data_are_those_of_the_run(run_folder):
    run = load_run(run_folder)
    found = figures_of(run)
    assert set(found) >= NAMES
    assert {row["observer"] for row in _rows(found["first"].data())} == {"ho_eye"}
    rows = _rows(found["tradeoff"].data())
    assert len(rows) == sum(len(arm.observers) for arm in run.summary.arms)
    (row,) = [r for r in rows if (r["arm"], r["observer"]) == ("lambda=0.9", "ho")]
    arm = run.arm("lambda=0.9")
    assert float(row["auc"]) == arm.observers["ho"].value
    assert float(row["rmse_hu_ci_high"]) == arm.image_quality.rmse_hu.ci_high
    assert row["auc_in_limit"] == ""
    curve = [r for r in _rows(found["roc"].data()) if (r["arm"], r["observer"]) == ("mse", "ho")]
    area = np.trapezoid(*([float(r[f"{kind}_positive_fraction"]) for r in curve] for kind in ("true", "false")))
    score = run.scores["mse", 0, "ho"]
    assert area == pytest.approx(auc(score.present, score.absent), abs=1e-4)
    images = _rows(found["images-present"].data())
    line = next(r for r in images if (r["image"], r["row"]) == ("lambda=0.9", "7"))
    values = [float(line[f"hu_{column}"]) for column in range(48)]
    np.testing.assert_allclose(values, run.examples.denoised["lambda=0.9"][0, 7], atol=0.006)
    cells = [cell for r in images for key, cell in r.items() if key.startswith("hu_")]
    assert min(map(float, cells)) < 0  # a minus sign is no formula of a spreadsheet


def test_each_figure_is_three_files_and_replaces_the_old_ones(make_run, monkeypatch):
    run = make_run()
    (run / "figures").mkdir()
    (run / "figures" / "old.svg").write_text("old")
    one = figures_of(load_run(run))["templates"]
    monkeypatch.setattr(figure_files, "figures_of", lambda run: {"templates": one})
    assert write_figures(load_run(run)) == run / "figures"
    assert {path.name for path in (run / "figures").iterdir()} == {"templates.svg", "templates.png", "templates.csv"}
    assert (run / "figures" / "templates.svg").read_text().startswith("<?xml")
    assert (run / "figures" / "templates.png").read_bytes().startswith(b"\x89PNG")
    first = (run / "figures" / "templates.svg").read_bytes()
    write_figures(load_run(run))
    assert (run / "figures" / "templates.svg").read_bytes() == first


def test_interrupted_writing_leaves_the_old_figures(make_run, monkeypatch):
    run = make_run()
    (run / "figures").mkdir()
    (run / "figures" / "old.svg").write_text("old")

    def interrupted(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(figure_files, "figures_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_figures(load_run(run))
    assert [path.name for path in (run / "figures").iterdir()] == ["old.svg"]
    assert not [path for path in run.iterdir() if path.name.startswith(".figures")]


def test_maps_and_spectra_of_harm(make_run):
    folder = make_run()
    rings, rng = np.array([0.1, 0.2]), np.random.default_rng(0)
    maps = {name: rng.normal(size=(5, 5)) for name in ("mse", "lambda=0")}
    arrays = {f"{kind}_map/{name}": image for kind in ("site", "region") for name, image in maps.items()}
    arrays |= {"frequency_per_mm": rings, "nps/low-dose": np.array([4.0, 1.0]), "nps/mse": np.array([2.0, 0.5])}
    arrays |= {"ttf/mse": np.array([1.0, np.nan])}
    np.savez(folder / "harm.npz", **arrays)
    found = figures_of(load_run(folder))
    assert {"spectra", "harm-site", "harm-region"} <= set(found)
    rows = {(r["arm"], r["frequency_per_mm"]): r for r in _rows(found["spectra"].data())}
    assert rows["mse", "0.2"] == {
        "arm": "mse",
        "frequency_per_mm": "0.2",
        "noise_power_hu2_mm2": "0.5",
        "transfer": "",
    }
    (line,) = [r for r in _rows(found["harm-site"].data()) if (r["arm"], r["row"]) == ("mse", "3")]
    np.testing.assert_allclose([float(line[f"hu_{i}"]) for i in range(5)], maps["mse"][3], atol=5e-4)
    figure = found["harm-region"].draw()
    shown = [ax.images[0] for ax in figure.axes if ax.images]
    limit = max(np.abs(one).max() for one in maps.values())
    assert {image.get_clim() for image in shown} == {(-limit, limit)}
