"""The whole way on a real CT series, in short."""

import html
import json
import re

import numpy as np
import pydicom
import pytest
import torch

from real_ct import LABELS
from taskct.config import make_settings, read_preset
from taskct.report import write_report
from taskct.simulation.simulate import simulate
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from taskct.trials.store import check_disjoint, read_trials
from taskct.trials.trials import SPLITS

SHORT = {
    "background": {"placements": 2},
    "scanner": {
        "n_views": 120,
        "object_pixels": 256,
        "object_pixel_mm": 1.953125,
        "region_count": 9,
        "region_step_mm": 24,
    },
    "trials": {
        "n_train": 192,
        "n_validation": 64,
        "n_fresh": 96,
        "n_test": 128,
        "region_pixels": 40,
        "margin_pixels": 4,
    },
    "denoiser": {"arguments": {"n_layers": 4, "n_channels": 8}},
    "training": {
        "pretrain_epochs": 2,
        "finetune_epochs": 1,
        "lambdas": [0, 0.9],
        "blend_lambda": 0.9,
        "blend_alphas": [0.5],
        "other_head_lambda": None,
    },
    "evaluation": {"n_bootstrap": 100},
}


@pytest.fixture(scope="module")
def run(real_ct, tmp_path_factory):
    settings = make_settings(read_preset("real-ct"), SHORT, {"background": {"path": str(real_ct)}})
    folder = RunFolder(tmp_path_factory.mktemp("real") / "run", settings, device=torch.device("cpu"))
    sweep(folder, ["simulate"])
    sweep(folder, ["train"]).check()
    sweep(folder, ["evaluate"]).check()
    write_report(folder.path)
    return folder


def test_slices_stay_apart_and_regions_hold_tissue(run):
    splits = {name: read_trials(run.trials, name) for name in SPLITS}
    check_disjoint({name: trials.truth["case"] for name, trials in splits.items()})
    cases = np.concatenate([np.unique(trials.truth["case"]) for trials in splits.values()])
    np.testing.assert_array_equal(np.sort(cases), np.arange(20))
    for trials in splits.values():
        median = np.median(trials.reference, axis=(1, 2))
        # Soft tissue of the upper abdomen with contrast agent: liver near 90 HU.
        assert (median > 0).all()
        assert (median < 200).all()
        assert 60 < np.median(median) < 130
        assert len(np.unique(trials.truth["region_x_mm"])) > 1


def test_the_report_says_how_many_backgrounds_stand_behind_it(run):
    task = json.loads((run.path / "task.json").read_text())
    n_test = len(np.unique(read_trials(run.trials, "test").truth["case"]))
    assert task["n_backgrounds"]["test"] == n_test < 20
    page = " ".join(html.unescape((run.path / "report.html").read_text()).split())
    assert task["background_note"] in page
    assert f"on {n_test} distinct slices" in page
    assert "its unit is the whole slice" in page


def test_no_identifier_of_the_series_reaches_the_run_folder(run, real_ct):
    header = pydicom.dcmread(next(p for p in sorted(real_ct.iterdir()) if p.is_file()), stop_before_pixels=True)
    secrets = {
        str(header.get(name, ""))
        for name in ("StudyDate", "SeriesDate", "DeviceSerialNumber", "PatientID", "PatientName", "StudyInstanceUID")
    }
    secrets = {secret for secret in secrets if len(secret) >= 4}
    assert secrets
    # As words of their own: a serial of a few digits stands by chance within the digits of some number.
    words = "|".join(re.escape(secret) for secret in secrets)
    pattern = re.compile(rf"(?<![\w.+-])(?:{words})(?![\w.+-])".encode())
    for file in run.path.rglob("*"):
        if file.is_file():
            assert not pattern.search(file.read_bytes()), file.name
    assert str(real_ct) not in (run.path / "report.html").read_text()


@pytest.mark.parametrize("acquisition", ["scan", "insertion"])
def test_a_lesion_lies_in_the_liver_of_a_patient(real_ct, acquisition):
    organs = {"path": str(real_ct), "organs_path": str(real_ct.parent / LABELS), "organ": "liver", "shift_mm": 5}
    changed = {
        "background": organs | {"region_hu": [-200, 300]},
        "signal": {"preset": "liver-metastasis", "site": "organ", "position_mm": 10, "diameter_mm": [9, 12]},
        "scanner": {
            "acquisition": acquisition,
            "region_step_mm": 20,
            "object_pixels": 512,
            "object_pixel_mm": 0.9765625,
            "pixel_mm": 0.9765625,
        },
        "trials": {"n_train": 4, "n_validation": 4, "n_fresh": 8, "n_test": 40},
    }
    trials = simulate(make_settings(read_preset("real-ct"), SHORT, changed))["test"]
    middle = (trials.reference.shape[-1] - 1) / 2
    axis = np.arange(trials.reference.shape[-1]) - middle
    at_site = []
    for k in np.flatnonzero(~trials.signal_present):
        x, y = trials.truth["x_mm"][k], trials.truth["y_mm"][k]
        at_site.append(trials.reference[k][np.hypot(axis[None, :] - x, axis[:, None] - y) < 4].mean())
    # The liver reads 89 HU on average; vessels, and the series' own noise of some 20 HU, spread it.
    assert 60 < np.median(at_site) < 120
    assert np.mean((np.array(at_site) > 30) & (np.array(at_site) < 190)) > 0.9
    assert (trials.noisy - trials.reference).std() > 1
