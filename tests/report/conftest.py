"""A run folder as the study writes it, from seeded random numbers; all its numbers follow from its scores."""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from taskct import __version__

N_CLASS = 150
RMSE = {
    "low-dose": 25.0,
    "mse": 8.1,
    "lambda=0": 8.0,
    "lambda=0.5": 8.18,
    "lambda=0.75": 8.5,
    "lambda=0.9": 9.6,
}
RMSE |= {"lambda=0 head=pixel": 8.02, "lambda=0.9 head=pixel": 9.4}
RMSE |= {f"lambda=0.9 alpha={a}": 8 + 1.6 * a**2 for a in (0.2, 0.35, 0.5, 0.75)}
# d' of each arm: what training adds grows with λ, and the blend gets it early.
D_PRIME = {
    "low-dose": 1.2,
    "mse": 1.0,
    "lambda=0": 1.0,
    "lambda=0.5": 1.2,
    "lambda=0.75": 1.4,
    "lambda=0.9": 1.7,
}
D_PRIME |= {"lambda=0 head=pixel": 1.0, "lambda=0.9 head=pixel": 1.35}
D_PRIME |= {f"lambda=0.9 alpha={a}": 1 + 0.7 * a**0.7 for a in (0.2, 0.35, 0.5, 0.75)}
OBSERVER_GAIN = {"slnn_joint": 1.0, "slnn": 0.95, "ho": 1.05, "ho_eye": 0.9}


def _fields(name):
    words = dict(word.split("=") for word in name.split() if "=" in word)
    lam = words.get("lambda")
    alpha = words.get("alpha")
    return (
        None if lam is None else float(lam),
        None if alpha is None else float(alpha),
        words.get("head", "eye"),
    )


def _placements(present, absent):
    wins = (present[:, None] > absent).astype(float)
    return wins.mean(1), wins.mean(0)


def _estimate(value, std_error):
    return {"value": value, "ci_low": value - 1.96 * std_error, "ci_high": value + 1.96 * std_error}


def _auc(present, absent):
    by_present, by_absent = _placements(present, absent)
    std_error = np.sqrt(by_present.var() / N_CLASS + by_absent.var() / N_CLASS)
    estimate = _estimate(by_present.mean(), std_error)
    return {"auc": estimate.pop("value"), **estimate}


def _delta(a, b):
    pa, pb = _placements(*a), _placements(*b)
    parts = [x - y for x, y in zip(pa, pb, strict=True)]
    std_error = np.sqrt(sum(part.var() / N_CLASS for part in parts))
    return _estimate(parts[0].mean(), std_error)


def p_value(delta):
    """The normal law's two-sided p of a difference and its 95 % interval."""
    std_error = (delta["ci_high"] - delta["ci_low"]) / (2 * 1.96)
    value = delta.get("value", delta.get("delta_auc"))
    return math.erfc(abs(value) / std_error / math.sqrt(2))


def write_run(folder, *, gain=True, n_seeds=1, study="liver lesions, low dose", n_backgrounds=200):
    """Write a run folder; without `gain` every trained arm scores as the control does, but for noise."""
    rng = np.random.default_rng(7)
    folder.mkdir()
    scores, quality, arms, paired = {}, [], [], []
    present = np.repeat([True, False], N_CLASS)
    for seed in range(n_seeds):
        common = rng.standard_normal((len(OBSERVER_GAIN), 2 * N_CLASS))
        for name, rmse in RMSE.items():
            lam, alpha, head = _fields(name)
            if lam is None and seed:
                continue
            observers = {}
            for i, (observer, factor) in enumerate(OBSERVER_GAIN.items()):
                if observer == "slnn_joint" and (lam is None or alpha is not None):
                    continue
                d_prime = factor * (D_PRIME[name] if gain or lam is None else 1.0)
                noise = 0.9 * common[i] + (0.44 if gain else 0.03) * rng.standard_normal(2 * N_CLASS)
                t = d_prime * present + noise
                scores[name, seed, observer] = t[present], t[~present]
                observers[observer] = _auc(t[present], t[~present])
            mse = rmse**2 * rng.gamma(40, 1 / 40, 2 * N_CLASS)
            bias = (rng.normal(0.5, 2, 2 * N_CLASS) - 5 * present).round(3)
            ssim = 0.93 - 0.03 * (rmse - 8) + rng.normal(0, 0.01, 2 * N_CLASS)
            psnr = 10 * np.log10(400**2 / mse)
            quality += zip([name] * 2 * N_CLASS, [seed] * 2 * N_CLASS, present, mse, psnr, ssim, bias, strict=True)
            se = 1 / np.sqrt(2 * N_CLASS)
            root = np.sqrt(mse.mean())
            arms.append(
                {
                    "name": name, "lambda": lam, "alpha": alpha, "head": head if lam is not None else None,
                    "seed": seed, "observers": observers,
                    "image_quality": {
                        "rmse_hu": _estimate(root, mse.std() * se / (2 * root)),
                        "psnr_db": _estimate(psnr.mean(), psnr.std() * se),
                        "ssim": _estimate(ssim.mean(), ssim.std() * se),
                    },
                    "hallucination": {
                        "absent_bias_hu": _estimate(bias[~present].mean(), bias[~present].std() * se),
                        "present_bias_hu": _estimate(bias[present].mean(), bias[present].std() * se),
                    },
                }
            )  # fmt: skip
    for (name, seed, observer), t in scores.items():
        versus = "lambda=0 head=pixel" if name == "lambda=0.9 head=pixel" else "lambda=0"
        if versus != name and (versus, seed, observer) in scores:
            delta = _delta(t, scores[versus, seed, observer])
            delta["delta_auc"] = delta.pop("value")
            row = {
                "arm": name,
                "versus": versus,
                "observer": observer,
                "seed": seed,
                **delta,
                "p_value": p_value(delta),
            }
            paired.append(row)
    _write_false_signals(folder, arms)
    row = {"arm": "lambda=0.9", "versus": "lambda=0", "observer": "ho", "n_seeds": n_seeds, "delta_auc": 0.04}
    rows = [{**row, "ci_low": 0.012, "ci_high": 0.068, "p_value": 0.007, "df": 3.2}] if n_seeds > 1 else []
    _json(folder, "retraining", {"confidence": 0.95, "rows": rows})
    _json(folder, "groups", {"rows": []})
    n_test = {"present": N_CLASS, "absent": N_CLASS}
    _json(folder, "summary", {"schema": 1, "study": study, "n_test": n_test, "arms": arms, "paired": paired})
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = ["arm", "lambda", "seed", "observer", "fitted", "trial", "signal_present", "test_statistic"]
        writer.writerow(columns)
        for (name, seed, observer), classes in scores.items():
            fitted = "joint" if observer == "slnn_joint" else "fresh"
            for k, t in enumerate(np.concatenate(classes)):
                short = observer.removesuffix("_joint")
                lam = _fields(name)[0]
                writer.writerow([name, "" if lam is None else lam, seed, short, fitted, k, int(present[k]), t])
    with (folder / "quality.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = [
            "arm",
            "lambda",
            "seed",
            "trial",
            "signal_present",
            "mse_hu2",
            "psnr_db",
            "ssim",
            "site_bias_hu",
        ]
        writer.writerow(columns)
        for k, (name, seed, is_present, *values) in enumerate(quality):
            writer.writerow([name, _fields(name)[0], seed, k % (2 * N_CLASS), is_present, *values])
    _write_choices(folder, arms, scores)
    _write_rest(folder, n_backgrounds, n_seeds)
    _write_examples(folder, rng)
    return folder


def _json(folder, name, content):
    (folder / f"{name}.json").write_text(json.dumps(content))


def _write_false_signals(folder, arms):
    rows = []
    for arm in arms:
        # 4.5 and 5.3 % paint a false signal with λ > 0 and without: the control's rate lies within the interval.
        delta = None if arm["lambda"] is None or arm["name"] == "lambda=0" else _estimate(-0.008, 0.02)
        rate = _estimate(0.045 if delta else 0.053, 0.015)
        excess = delta and _estimate(-0.1, 0.2)
        row = {"arm": arm["name"], "seed": arm["seed"], "false_signal_rate": rate, "delta_to_control": delta}
        row["excess_present_bias_hu"] = excess
        rows.append(row)
    content = {"disc_mm": 5.25, "threshold_hu": 30.0, "control": "lambda=0", "arms": rows}
    _json(folder, "hallucination", content)


def _write_choices(folder, arms, scores):
    fresh = ["slnn", "ho", "ho_eye"]
    validation = [
        {
            "arm": a["name"],
            "rmse_hu": a["image_quality"]["rmse_hu"]["value"],
            "auc": {o: v["auc"] for o, v in a["observers"].items()},
        }
        for a in arms
        if a["seed"] == 0
    ]
    rule = "highest mean validation AUC of the fresh observers"
    regularization = {a["name"]: dict.fromkeys(fresh, 0.01) for a in arms if a["seed"] == 0}
    choices = {"chosen_arm": "lambda=0.9", "rule": rule, "regularization": regularization, "seed": 0, "at_edge": []}
    _json(folder, "choices", choices | {"validation": validation})
    best, control, observers = "lambda=0.9 alpha=0.2", "lambda=0", {}
    for observer in OBSERVER_GAIN:
        arm = control if observer == "slnn_joint" else best
        auc = _auc(*scores[arm, 0, observer])
        observers[observer] = {
            "curves": None if observer == "slnn_joint" else {
                "better": "blend" if observer != "slnn" else "neither",
                "delta_auc": _estimate(0.021, 0.005 if observer != "slnn" else 0.02),
                "rmse_range_hu": [8.0, 9.6],
            },
            "within_tolerance": {
                "arm": arm,
                "rmse_ratio": _estimate(1.008, 0.002),
                "auc": {"value": auc["auc"], "ci_low": auc["ci_low"], "ci_high": auc["ci_high"]},
                "delta_auc": _delta(scores[arm, 0, observer], scores[control, 0, observer]),
            },
            "monotone": True,
        }  # fmt: skip
    _json(
        folder,
        "tradeoff",
        {"tolerance": 0.02, "control": control, "seed": 0, "rmse_monotone": True, "observers": observers},
    )


def _write_rest(folder, n_backgrounds, n_seeds):
    task = {
        "description": "Detection of a 6 mm lesion of −15 HU in a lumpy liver background, quarter dose.",
        "n_trials": {"train": 8000, "validation": 600, "fresh": 2000, "test": 2 * N_CLASS},
        "n_backgrounds": {"train": 1000, "validation": 100, "fresh": 300, "test": n_backgrounds},
        "group_name": "slices", "resampling": {
            "unit": "background" if 1 < n_backgrounds < 2 * N_CLASS else "trial",
            "over_backgrounds": n_backgrounds > 1, "few": n_backgrounds < 50, "p_values": n_backgrounds >= 20,
        },
        "background_note": None, "pixel_mm": 1.0, "roi_px": 48, "data_range_hu": 400,
        "window_hu": [50, 300], "difference_window_hu": 100,
    }  # fmt: skip
    _json(folder, "task", task)
    stages = {"simulate": {"wall_s": 42.0}, "pretrain": {"wall_s": 615.2}, "evaluate": {"wall_s": 3785.0}}
    stages = {name: stage | {"finished": "2026-01-05T10:00:00Z"} for name, stage in stages.items()}
    provenance = {
        "taskct_version": __version__, "commit": "abc1234", "python": "3.11.9", "platform": "Linux",
        "libraries": {"torch": "2.13", "numpy": "2.3"}, "device": "cpu", "n_threads": 2,
        "seed": list(range(n_seeds)), "stages": stages,
    }  # fmt: skip
    _json(folder, "provenance", provenance)
    (folder / "study.yaml").write_text(
        "name: liver\ntraining:\n  lambdas: [0, 0.5, 0.9]\n  epochs: 8\n  lr: 1.0e-3\nscanner: {views: 720}\n"
    )


def _write_examples(folder, rng):
    size, k = 48, 4
    row, column = np.mgrid[:size, :size]
    reference = 50 + 30 * np.sin(row / 7 + np.arange(k)[:, None, None]) * np.cos(column / 9)
    center = np.full((k, 2), np.nan)
    for i in (0, 2):
        center[i] = 16 + 8 * i, 20
        reference[i] -= 30 * (np.hypot(row - center[i, 0], column - center[i, 1]) < 3)
    shape = reference.shape
    smooth = {name: reference + rng.normal(0, RMSE[name], shape) for name in ("mse", "lambda=0", "lambda=0.9")}
    blob = np.exp(-((row - 24) ** 2 + (column - 24) ** 2) / 60)
    np.savez(
        folder / "examples.npz",
        trial=np.array([3, 4, 10, 11]),
        signal_present=np.array([True, False, True, False]),
        center_px=center,
        diameter_px=np.full(k, 6.0),
        reference=reference.astype(np.float32),
        noisy=(reference + rng.normal(0, 25, shape)).astype(np.float32),
        **{f"denoised/{name}": image.astype(np.float32) for name, image in smooth.items()},
        **{f"template/{n}": -0.01 * blob + rng.normal(0, 2e-3, blob.shape) for n in ("lambda=0", "lambda=0.9")},
    )


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "gain")


@pytest.fixture(scope="session")
def no_gain_folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "none", gain=False)


@pytest.fixture
def make_run(run_folder, tmp_path):
    """Write a folder of one's own, to break or to vary."""

    def make(**options) -> Path:
        if options:
            return write_run(tmp_path / "run", **options)
        return shutil.copytree(run_folder, tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))

    return make
