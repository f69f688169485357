import csv
import io

import numpy as np
import pytest

from taskct.metrics.roc import auc
from taskct.report import figure_files, load_run, write_figures
from taskct.report.figure_files import figures_of

NAMES = {"tradeoff", "roc", "images-present", "images-absent", "templates"}


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_data_are_those_of_the_run(run_folder):
    run = load_run(run_folder)
    found = figures_of(run)
    assert set(found) == NAMES
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
