import json

import numpy as np
import pytest

from taskct.report import load_run
from taskct.report.checks import checks
from taskct.study.result_files import shared_backgrounds


def _found(run):
    return {one.name: one for one in checks(load_run(run))}


def _edit(run, name, change):
    content = json.loads((run / name).read_text())
    change(content)
    (run / name).write_text(json.dumps(content))


def test_backgrounds_in_two_splits_are_counted():
    assert shared_backgrounds([np.array([0.0, 1.0, 1.0]), np.array([2.0]), np.array([3.0, 2.0])]) == 1
    assert shared_backgrounds([np.array([0.0, 0.0]), np.array([1.0])]) == 0


def test_whole_run_passes(run_folder):
    found = _found(run_folder)
    passed = {name for name, one in found.items() if one.ok}
    assert passed == {
        "Splits share no background",
        "Enough test backgrounds",
        "Data range behind PSNR and SSIM",
        "Regularization inside its list",
        "All trainings ended well",
        "Files are as the evaluation left them",
    }
    assert "200 in test" in found["Splits share no background"].text
    assert "−160 to 240 HU (400 HU)" in found["Data range behind PSNR and SSIM"].text
    assert "no AUC in the limit" in found["Observers have enough training trials"].text


@pytest.mark.parametrize(("n", "ok"), [(0, True), (3, False), (None, False)])
def test_leakage_is_told(make_run, n, ok):
    run = make_run()
    _edit(run, "task.json", lambda task: task.update(n_shared_backgrounds=n))
    assert _found(run)["Splits share no background"].ok is ok


def test_few_backgrounds(make_run):
    one = _found(make_run(n_backgrounds=5))["Enough test backgrounds"]
    assert not one.ok
    assert "5 distinct slices behind every figure; intervals resample a whole slice; with fewer" in one.text


def test_images_outside_the_data_range(make_run):
    run = make_run()
    with np.load(run / "examples.npz") as file:
        arrays = dict(file)
    arrays["reference"][:1] -= 900
    np.savez(run / "examples.npz", **arrays)
    assert not _found(run)["Data range behind PSNR and SSIM"].ok


@pytest.mark.parametrize(("gap", "ok"), [(0.005, True), (0.03, False)])
def test_observers_short_of_trials(make_run, gap, ok):
    run = make_run()
    auc = {"value": 0.8, "ci_low": 0.78, "ci_high": 0.82}
    limit = {"value": 0.8 + gap, "ci_low": 0.78, "ci_high": 0.9}
    row = {"arm": "low-dose", "seed": 0, "observer": "ho", "n_fresh": 9, "auc": auc, "limit": limit, "why_not": None}
    (run / "limits.json").write_text(json.dumps({"rows": [row], "paired": [], "how": ""}))
    one = _found(run)["Observers have enough training trials"]
    assert one.ok is ok
    assert ("fresh HO (+0.030)" in one.text) is not ok


def test_edges_failures_and_missing_digests(make_run):
    run = make_run()  # its records hold no digests
    at_edge = [
        {"arm": "mse", "observer": name, "value": 0.1} for name in ("ho", "slnn", "ho_eye", "npw", "npwe", "cnn")
    ]
    _edit(run, "choices.json", lambda c: c.update(at_edge=at_edge))
    failure = {"stage": "finetune lambda=0.5 seed=0", "arm": "lambda=0.5", "seed": 0, "problem": "diverged"}
    (run / "failures.json").write_text(json.dumps({"schema": 1, "failed": [failure], "skipped": []}))
    found = _found(run)
    assert found["Regularization inside its list"].text.endswith("and 2 more; a wider list may raise them")
    assert found["All trainings ended well"].text.startswith("failed: finetune lambda=0.5 seed=0; 0 stages")
    assert not found["Files are as the evaluation left them"].ok
