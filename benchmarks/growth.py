"""How the time of a study grows with its trials, arms, pixels and workers, in one figure.

    .venv/bin/python benchmarks/growth.py [--steps 4] [--out docs/growth.svg]

From a small study one thing at a time is doubled, and every stage's time is read from its record, so that starting
Python does not count. Each line has its slope in a log-log plot: the power of its growth, from the upper half of the
points. Trials, arms and pixels grow in one process with one thread; for workers it is the wall time of all stages.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

BASE = {
    "trials.n_train": 256,
    "trials.n_validation": 128,
    "trials.n_fresh": 256,
    "trials.n_test": 256,
    "trials.region_pixels": 32,
    "training.pretrain_epochs": 2,
    "training.finetune_epochs": 2,
    "training.lambdas": [0, 0.5],
    "training.blend_alphas": [],
}
TRIALS = ("trials.n_train", "trials.n_validation", "trials.n_fresh", "trials.n_test")
KINDS = {"simulate": "simulation", "train": "training", "evaluate": "evaluation"}
LARGEST_LAMBDA = 0.95
WIDTH_IN, HEIGHT_IN = 11.0, 3.4


def kind_of(stage):
    """What a stage's time counts as; None for the results, which all arms share."""
    name = stage.split()[0]
    return KINDS["train"] if name in ("pretrain", "finetune") else KINDS.get(name)


def times(settings, workers):
    """Seconds by kind of stage, and the wall time of the whole study."""
    with tempfile.TemporaryDirectory(prefix="growth-") as temporary:
        folder = Path(temporary) / "run"
        command = [sys.executable, "-m", "taskct", "run", "--preset", "smoke", "--out", str(folder)]
        command += ["--workers", str(workers), "--threads", "1", "--device", "cpu", "--progress", "none"]
        command += [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = dict.fromkeys(KINDS.values(), 0.0)
        log = [json.loads(line) for line in (folder / "stages" / "log.jsonl").read_text().splitlines()]
        for path in (folder / "stages").glob("*.json"):
            record = json.loads(path.read_text())
            if (kind := kind_of(record["stage"])) is not None:
                found[kind] += record["wall_s"]
        moments = [entry["time"] for entry in log]
        return found | {"all": max(moments) - min(moments)}


def with_trials(factor):
    return {**BASE, **{name: factor * BASE[name] for name in TRIALS}}, 1, factor * sum(BASE[name] for name in TRIALS)


def with_arms(factor):
    n = 2 * factor
    return {**BASE, "training.lambdas": np.linspace(0.0, LARGEST_LAMBDA, n).round(4).tolist()}, 1, n


def with_side(factor):
    side = int(BASE["trials.region_pixels"] * np.sqrt(factor) // 2 * 2)
    return {**BASE, "trials.region_pixels": side}, 1, side**2


def with_workers(factor):
    settings, _, _ = with_arms(4)
    return settings, factor, factor


AXES = {
    "trials": (with_trials, tuple(KINDS.values())),
    "arms (λ)": (with_arms, ("training", "evaluation")),
    "pixels of the region": (with_side, tuple(KINDS.values())),
    "workers": (with_workers, ("all",)),
}


def slope(x, y):
    """Power of growth from the upper half of the points."""
    half = min(len(x) // 2, len(x) - 2)
    return float(np.polyfit(np.log(x[half:]), np.log(y[half:]), 1)[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4, help="doublings of each, and one")
    parser.add_argument("--out", type=Path, default=Path("docs/growth.svg"))
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error("--steps must be at least 1")
    factors = [2**step for step in range(arguments.steps + 1)]
    figure, panels = plt.subplots(1, len(AXES), figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    for panel, (name, (settings_of, shown)) in zip(panels, AXES.items(), strict=True):
        # More workers than twice the cores say nothing.
        some = [f for f in factors if f <= 2 * (os.cpu_count() or 1)] if settings_of is with_workers else factors
        points = [settings_of(factor) for factor in some]
        found = [times(settings, workers) for settings, workers, _ in points]
        x = np.array([size for *_, size in points], dtype=float)
        for kind in shown:
            y = np.array([one[kind] for one in found])
            power = slope(x, y)
            panel.loglog(x, y, "o-", label=f"{kind}: {power:.2f}")
            print(
                f"{name:22} {kind:12} power {power:5.2f}:",
                ", ".join(f"{s:g}: {t:.1f} s" for s, t in zip(x, y, strict=True)),
            )
            sys.stdout.flush()
        panel.set(xlabel=name, ylabel="s" if panel is panels[0] else "")
        panel.legend(fontsize="small", frameon=False)
        panel.grid(visible=True, which="both", alpha=0.2)
    figure.savefig(arguments.out, metadata={"Date": None} if arguments.out.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
