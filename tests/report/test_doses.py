"""Runs at several doses as readings: what they are called, paired by, and refused for."""

import json
import shutil

import numpy as np
import pytest
import yaml

from command_line import call, refused
from taskct.errors import UserError
from taskct.metrics.dose_areas import auc_by_dose
from taskct.metrics.roc import delong_covariance
from taskct.report import load_run
from taskct.report.compare import Compared
from taskct.report.doses import limits_of_runs, readings_of_runs

__all__ = ["call", "refused"]  # fixtures


def changed(folder, **scanner):
    """A run with other settings of its scanner, and no digests that would tell of that."""
    told = json.loads((folder / "provenance.json").read_text())
    told["stages"]["results"].pop("digests", None)
    (folder / "provenance.json").write_text(json.dumps(told))
    settings = yaml.safe_load((folder / "study.yaml").read_text())
    settings["scanner"] |= scanner
    (folder / "study.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture
def runs(written, tmp_path):
    """The same study at 20 and 80 % of the dose; the images and scores of both are those of one."""
    return [
        changed(shutil.copytree(written(), tmp_path / name), dose_fraction=dose)
        for name, dose in (("low", 0.2), ("high", 0.8))
    ]


def test_arms_are_reconstructions_and_doses_are_in_percent(runs):
    readings, sizes, observer, _ = readings_of_runs(runs)
    run = load_run(runs[0])
    assert observer == "ho_eye"
    assert {one.cell.dose for one in readings} == {20.0, 80.0}
    assert readings[0].cell.reconstruction == "low-dose images"
    assert len({one.cell.reconstruction for one in readings}) == 4
    assert list(sizes.values()) == [(5.25, 50.0)]
    areas = auc_by_dose(readings)
    for number, cell in enumerate(areas.cells):
        arm = next(one for one in run.summary.arms if one.label == cell.reconstruction)
        assert areas.auc[number] == pytest.approx(arm.observers[observer].value, abs=1e-4)
    # Within a run trials are paired, here by their background: the covariance is Obuchowski's.
    score = [run.scores[name, run.seed if name != "low-dose" else 0, observer] for name in ("low-dose", "lambda=0")]
    clusters = Compared("", run).clusters
    assert clusters is not None
    want = delong_covariance(
        *(np.stack([getattr(one, kind) for one in score]) for kind in ("present", "absent")), clusters
    )
    pair = auc_by_dose(readings_of_runs(runs, arms=("low-dose", "lambda=0"))[0])
    assert pair.covariance[:2, :2] == pytest.approx(want, rel=1e-6)


def test_command_writes_curves_of_runs(call, runs, tmp_path):
    out = tmp_path / "curves"
    code, said, err = call("curves", *runs, "--out", out, "--observer", "ho", "--arm", "low-dose", "--arm", "mse")
    assert code == 0, err
    content = json.loads((out / "curves.json").read_text())
    assert content["dose_unit"] == "% of full dose"
    assert content["observer"] == "ho"
    assert len(content["points"]) == 4
    assert "low-dose" in said


def test_runs_that_differ_in_more_than_dose_and_signal_are_noted(runs):
    assert not [line for line in readings_of_runs(runs)[3] if "differ in more" in line]
    changed(runs[1], n_views=96, n_bins=100)
    assert (
        "the runs differ in more than dose and signal, and so may their curves: scanner.n_bins, scanner.n_views"
        in readings_of_runs(runs)[3]
    )


def test_runs_of_one_dose_an_unknown_arm_and_images_without_a_dose_are_refused(runs, refused, tmp_path):
    out = tmp_path / "curves"
    assert "no arm 'x'" in refused("curves", *runs, "--out", out, "--arm", "x")
    assert "no 'cnn' of low-dose" in refused("curves", *runs, "--out", out, "--observer", "cnn")
    assert "leave out --channels" in refused("curves", *runs, "--out", out, "--channels", 4)
    twin = shutil.copytree(runs[0], tmp_path / "twin")
    with pytest.raises(UserError, match="are of one dose and signal, 20 %"):
        readings_of_runs([*runs, twin])
    with pytest.raises(UserError, match="does not know"):
        readings_of_runs([changed(runs[0], dose_fraction=None)])


def test_auc_in_the_limit_has_the_errors_on_record(runs, call, refused, tmp_path):
    for folder, gain in zip(runs, (0.0, 0.1), strict=True):
        rows = [
            {"arm": arm, "seed": 0, "observer": "ho", "n_fresh": 100, "auc": bounds(0.7), "limit": bounds(0.75 + gain)}
            for arm in ("low-dose", "mse")
        ]
        pair = {"arm": "mse", "versus": "low-dose", "observer": "ho", "seed": 0, "delta": bounds(0.0, 0.02)}
        (folder / "limits.json").write_text(json.dumps({"rows": rows, "paired": [pair]}))
    areas, _, observer, _ = limits_of_runs(runs, observer="ho", arms=("low-dose", "mse"))
    assert observer == "ho"
    assert areas.auc.tolist() == [0.75, 0.75, 0.85, 0.85]
    error = 0.05 / 1.959964
    assert areas.variance == pytest.approx([error**2] * 4, rel=1e-5)
    assert areas.difference(1, 0)[1] == pytest.approx(0.02 / 1.959964, rel=1e-5)
    assert areas.covariance[0, 2] == 0.0
    out = tmp_path / "limits"
    code, _, err = call(
        "curves", *runs, "--in-limit", "--observer", "ho", "--arm", "low-dose", "--arm", "mse", "--out", out
    )
    assert code == 0, err
    assert "in the limit of many training" in (out / "curves.html").read_text()
    message = refused("curves", *runs, "--in-limit", "--observer", "slnn", "--arm", "mse", "--out", tmp_path / "no")
    assert "no AUC of slnn of mse in the limit" in message


def bounds(value, half=0.05):
    return {"value": value, "ci_low": value - half, "ci_high": value + half}
