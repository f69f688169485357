"""Run folders as the study writes them, from test statistics and image quality that are drawn."""

import dataclasses
import functools
import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.stats import norm

from taskct.config import make_settings
from taskct.denoisers.prices import SquaredError
from taskct.study import result_files
from taskct.study.arms import arms_of
from taskct.study.run_folder import RunFolder
from taskct.trials.store import write_trials
from taskct.trials.trials import TRUTH, Trials

N_CLASS = 150
PRESENT = np.repeat([True, False], N_CLASS)
SIDE = 48
RMSE_HU = {"low-dose": 25.0, "mse": 8.1, "lambda=0": 8.0, "lambda=0.5": 8.18, "lambda=0.75": 8.5, "lambda=0.9": 9.6}
RMSE_HU |= {"lambda=0 head=pixel": 8.02, "lambda=0.9 head=pixel": 9.4}
RMSE_HU |= {f"lambda=0.9 alpha={a}": 8 + 1.6 * a**2 for a in (0.2, 0.35, 0.5, 0.75)}
# d' of each arm: what training adds grows with λ, and the blend gets it early.
D_PRIME = {"low-dose": 1.2, "mse": 1.0, "lambda=0": 1.0, "lambda=0.5": 1.2, "lambda=0.75": 1.4, "lambda=0.9": 1.7}
D_PRIME |= {"lambda=0 head=pixel": 1.0, "lambda=0.9 head=pixel": 1.35}
D_PRIME |= {f"lambda=0.9 alpha={a}": 1 + 0.7 * a**0.7 for a in (0.2, 0.35, 0.5, 0.75)}
SQUARE = SquaredError(64.0, 0.5, 6.0)
"""Mean squared error along the task path, HU²."""
PRICES = (0.005, 0.01, 0.02, 0.05, 0.1)
OBSERVER_GAIN = {"slnn_joint": 1.0, "slnn": 0.95, "ho": 1.05, "ho_eye": 0.9}


def study_settings(study, n_seeds, method):
    return make_settings(
        {
            "name": study,
            "scanner": {"pixel_mm": 1.0},
            "trials": {"region_pixels": SIDE, "margin_pixels": 0},
            "training": {
                "method": method,
                "seeds": list(range(n_seeds)),
                "head": "eye",
                "lambdas": [0, 0.5, 0.75, 0.9],
                "blend_lambda": 0.9,
                "blend_alphas": [0.2, 0.35, 0.5, 0.75],
                "other_head_lambda": 0.9,
            },
            "evaluation": {
                "chosen_price": 0.25 if method == "joint" else 0.02,
                "n_examples": 5,
                "n_bootstrap": 200,
                "window_hu": [50, 300],
                "difference_window_hu": 100,
            },
        }
    )


def draw_trials(rng, n_backgrounds):
    """A test split of so many backgrounds; the other splits hold one trial."""
    n = len(PRESENT)
    row, column = np.mgrid[:SIDE, :SIDE]
    reference = np.zeros((n, SIDE, SIDE), dtype=np.float32)
    for i in [*range(5), *range(N_CLASS, N_CLASS + 5)]:  # those that the panel may show
        reference[i] = 50 + 30 * np.sin(row / 7 + i) * np.cos(column / 9)
        reference[i] -= 30 * PRESENT[i] * (np.hypot(row - 16, column - 20) < 3)
    noisy = reference + rng.normal(0, 25, reference.shape).astype(np.float32)
    truth = {name: np.zeros(n) for name in TRUTH}
    truth |= {"x_mm": np.full(n, -3.5), "y_mm": np.full(n, -7.5), "diameter_mm": np.full(n, 6.0)}
    test = Trials(noisy, reference, PRESENT, truth | {"case": 10.0 + np.arange(n) % n_backgrounds})
    one = {name: column[:1] for name, column in truth.items()}
    others = {
        name: Trials(noisy[:1], reference[:1], PRESENT[:1], one | {"case": np.array([k])})
        for k, name in enumerate(("train", "validation", "fresh"))
    }
    return {**others, "test": test}


def draw_result(rng, arm, test, common, gain, threshold_hu):
    """What an arm's evaluation finds; without `gain` every trained arm scores as the control does, but for noise."""
    rmse = RMSE_HU[arm.name] if arm.price is None else RMSE_HU["lambda=0"] * (1 + arm.price)
    of_arm = D_PRIME[arm.name] if arm.price is None else 1 + 3 * arm.price**0.5
    d_prime = of_arm if gain or not arm.controlled else 1.0
    joint = arm.trained
    scores = {
        observer: factor * d_prime * PRESENT
        + 0.9 * common[i]
        + (0.44 if gain and arm.price is None else 0.03) * rng.standard_normal(300)
        for i, (observer, factor) in enumerate(OBSERVER_GAIN.items())
        if joint or observer != "slnn_joint"
    }
    mse = rmse**2 * rng.gamma(40, 1 / 40, len(PRESENT))
    # 7 or 8 of 150 paint a false signal, with λ > 0 and without: the control's rate lies within the interval.
    painted = np.zeros(len(PRESENT))
    painted[N_CLASS : N_CLASS + (7 if arm.task_weight else 8)] = 2 * threshold_hu
    shown = np.r_[:5, N_CLASS : N_CLASS + 5]
    blob = np.exp(-(np.square(np.mgrid[:SIDE, :SIDE] - SIDE / 2).sum(axis=0)) / 60)
    return result_files.ArmResult(
        arm=arm,
        scores=scores,
        quality={
            "mse_hu2": mse,
            "psnr_db": 10 * np.log10(400**2 / mse),
            "ssim": 0.93 - 0.03 * (rmse - 8) + rng.normal(0, 0.01, len(PRESENT)),
            "site_bias_hu": common[0] * 2
            + rng.normal(0, 0.5, len(PRESENT))
            - (5 - 0.3 * (arm.task_weight or 0)) * PRESENT,
            "peak_disc_hu": painted,
        },
        regularization=dict.fromkeys(("slnn", "ho", "ho_eye"), 0.01),
        validation_auc={name: norm.cdf(OBSERVER_GAIN[name] * of_arm / 2**0.5) for name in scores},
        validation_rmse_hu=rmse,
        template=-0.01 * blob + rng.normal(0, 2e-3, blob.shape) if joint and arm.task_weight in (0.0, 0.9) else None,
        frozen={f"{on}/{name}": 0.9 * scores[name] for on in ("control", "reference") for name in ("ho", "ho_eye")}
        if arm.price is not None or arm.name == "lambda=0"
        else {},
        examples=test.noisy[shown] if arm.name == "low-dose" else test.reference[shown] + rng.normal(0, rmse, 1),
    )


def around(value, half):
    return {"value": value, "ci_low": value - half, "ci_high": value + half}


def path_content(results):
    """`path.json` of a path that restores: half of its energy lies near the (dark) lesions, on a tenth of the area."""
    rows = []
    for arm in (result.arm for result in results if result.arm.price is not None):
        strength = SQUARE.strength(arm.price)
        rows.append(
            {
                "arm": arm.name,
                "seed": arm.seed,
                "price": arm.price,
                "strength": strength,
                "predicted_rmse_ratio": SQUARE.rmse_ratio(strength),
                "rmse_ratio": around(1 + arm.price, 0.001),
                "energy_near": around(0.5, 0.02),
                "area_near": 0.1,
                "mean_present_hu": around(-2 * strength, 0.1),
                "mean_absent_hu": around(0.01 * strength, 0.1),
                "way_to_bound": {"ho": around(3 * arm.price, 0.02), "ho_eye": None},
            }
        )
    bound = {"observer": "cnn", "auc": around(0.92, 0.01)} if rows else None
    return {"schema": 1, "trained_at": 0.05, "seed": 0, "bound": bound, "rows": rows, "principle": None}


def write_run(path, *, gain=True, n_seeds=1, study="liver lesions, low dose", n_backgrounds=200, method="joint"):
    """Write the result files of a study whose trials are `N_CLASS` of each class on some backgrounds."""
    rng = np.random.default_rng(11)
    run = RunFolder(path, study_settings(study, n_seeds, method), device=torch.device("cpu"))
    trials = draw_trials(rng, n_backgrounds)
    run.run_stage("simulate", lambda: write_trials(run.trials, trials, case_kind="slices"), [run.trials])
    test, threshold_hu = run.read("test"), max(map(abs, run.settings.signal.contrast_hu))
    results, low_dose = [], None
    for arm in arms_of(run.settings):
        if arm.name == "low-dose":
            common = rng.standard_normal((len(OBSERVER_GAIN), len(PRESENT)))
            low_dose = low_dose or draw_result(rng, arm, test, common, gain, threshold_hu)
            results.append(dataclasses.replace(low_dose, arm=arm))
        else:
            results.append(draw_result(rng, arm, test, common, gain, threshold_hu))

    def images_of_trials(run, arm, splits, index=slice(None)):
        return {name: trials.reference_regions + 0.1 * trials.noisy_regions for name, trials in splits.items()}

    with (
        mock.patch.object(result_files, "collect", return_value=results),
        mock.patch.object(result_files, "images_of_trials", images_of_trials),
        mock.patch.object(result_files, "share_of", lambda run, arm: arm.alpha or SQUARE.strength(arm.price)),
        mock.patch.object(result_files, "path_json", create=True, return_value=path_content(results)),
    ):
        outputs = [path / name for name in run.graph["results"].outputs]
        run.run_stage("results", lambda: result_files.write_results(run), outputs, ["simulate"])
    if not (path / "path.json").exists():
        (path / "path.json").write_text(json.dumps(path_content(results)))
    run.write_provenance()
    return path


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A run folder for every set of options, written once; nobody may change it."""

    @functools.cache
    def write(**options):
        return write_run(tmp_path_factory.mktemp("runs") / "run", **options)

    return write


@pytest.fixture(scope="session")
def run_folder(written) -> Path:
    return written()


@pytest.fixture(scope="session")
def no_gain_folder(written) -> Path:
    return written(gain=False)


@pytest.fixture
def make_run(written, tmp_path):
    """A copy of a run folder, to break or to vary: its records hold no digests, which would tell of that."""

    def make(**options) -> Path:
        run = shutil.copytree(written(**options), tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))
        told = json.loads((run / "provenance.json").read_text())
        told["stages"]["results"].pop("digests", None)
        (run / "provenance.json").write_text(json.dumps(told))
        return run

    return make


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made but not drawn into files: drawing takes most of a page's time, and its words need none of it."""
    pixel = b"\x89PNG\r\n"
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **how: file.write(pixel))
