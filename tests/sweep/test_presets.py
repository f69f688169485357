"""The studies that come with taskct: each asks something, is planned in seconds, and its smallest form goes through."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from some_trials import some_trials
from taskct.cli import app
from taskct.config import make_settings, preset_names, read_preset
from taskct.report.axes import axes_of
from taskct.report.load import load_run
from taskct.report.shift import load_shift
from taskct.study.arms import arms_of, variants_of
from taskct.study.records import read_records
from taskct.study.run_folder import RunFolder
from taskct.study.shift import tasks_of
from taskct.sweep.pipeline import sweep
from taskct.trials.trials import first_repeated
from tiny_study import TINY, run_study, tiny_settings

STUDIES = ("tradeoff", "dial", "task-shift", "depth", "layers", "harm", "seeds", "more-data", "paper")

CUT: dict[str, Any] = {
    **{name: TINY[name] for name in ("background", "scanner", "evaluation")},
    "trials": TINY["trials"],
    "signal": {"position_mm": 3},
    "denoiser": {"arguments": {"n_channels": 4}},
    "training": {
        name: TINY["training"][name] for name in ("pretrain_epochs", "finetune_epochs", "batch_size", "dtype")
    },
}
"""So few and small trials that a study takes seconds."""

FEWER: dict[str, dict[str, Any]] = {
    "tradeoff": {
        "training": {"lambdas": [0, 0.9], "blend_lambda": 0.9, "blend_alphas": [0.5]},
        "path": {"prices": [0.02, 0.05], "epochs": 1, "n_channels": 4},
    },
    "dial": {
        "training": {"lambdas": [0, 0.95], "blend_alphas": [0.2], "seeds": [0, 1]},
        "path": {"prices": [0.02, 0.05], "epochs": 1, "n_channels": 4},
    },
    "task-shift": {
        "training": {"lambdas": [0, 0.95]},
        "tests": {"anywhere": {"signal.position_mm": 3}, "localize": {"signal.position_mm": 3}},
    },
    "depth": {"training": {"lambdas": [0, 0.95]}, "grid": {"denoiser.arguments.n_layers": [3, 4]}},
    "layers": {"training": {"lambdas": [0, 0.95]}, "grid": {"training.trainable": ["all", "last:1", "last:6"]}},
    "harm": {"training": {"lambdas": [0, 0.95], "blend_lambda": None}},
    "seeds": {"training": {"lambdas": [0, 0.95], "seeds": [0, 1]}},
    "more-data": {"training": {"lambdas": [0, 0.95]}, "grid": {"training.n_trials": [None, 8, 24]}},
    "paper": {
        "training": {"lambdas": [0, 0.9], "seeds": [0, 1]},
        "grid": {"denoiser.arguments.n_layers": [7, 2]},
    },
}
"""And fewer arms, of every kind that the study has."""


def smallest(name: str) -> Any:
    return make_settings(read_preset(name), CUT, FEWER[name])


def test_the_studies_are_there() -> None:
    assert set(STUDIES) <= set(preset_names())


def test_what_the_studies_ask() -> None:
    """Each spans what it is about."""
    study = {name: make_settings(read_preset(name)) for name in STUDIES}
    tradeoff = study["tradeoff"].training
    assert sum(weight > 0 for weight in tradeoff.lambdas) >= 8
    assert len(tradeoff.blend_alphas) >= 5
    assert {"cho_lg", "cnn"} <= set(study["tradeoff"].observers.more)
    assert study["tradeoff"].denoiser.classical
    depths = study["depth"].grid["denoiser.arguments.n_layers"]
    assert (min(depths), max(depths)) == (3, 15)
    assert study["depth"].trials.margin_pixels >= max(depths)  # what a network of 3 x 3 kernels sees
    assert {"all", "last:1"} <= set(study["layers"].grid["training.trainable"])
    assert len(study["seeds"].training.seeds) >= 5
    assert len(study["dial"].training.seeds) >= 5
    assert study["dial"].training.method == "both"
    counts = [n for n in study["more-data"].grid["training.n_trials"] if n is not None]
    assert study["more-data"].trials.n_train / min(counts) > 30
    low, high = study["harm"].signal.contrast_hu
    assert high / low >= 8
    assert sum(arm.trained and bool(arm.task_weight) for arm in arms_of(study["harm"])) >= 4
    changed = {change.partition(" ")[0] for task in tasks_of(study["task-shift"]) for change in task.changes}
    assert {
        "signal.diameter_mm", "signal.contrast_hu", "signal.shape", "signal.position_mm", "scanner.dose_fraction",
        "scanner.filter", "background.kind", "scanner.detector", "absent_signal.inserted",
    } <= changed  # fmt: skip
    assert any(task.localize_mm for task in tasks_of(study["task-shift"]))


def test_the_paper_is_at_full_scale() -> None:
    paper = make_settings(read_preset("paper"))
    assert paper.trials.region_pixels >= 128
    assert paper.trials.n_train >= 20_000
    assert sum(weight > 0 for weight in paper.training.lambdas) >= 8
    assert len(paper.training.seeds) >= 5
    depths = {arm.settings(paper).denoiser.arguments["n_layers"] for arm in arms_of(paper)}
    assert {3, 15} <= depths
    assert max(depths) <= paper.trials.margin_pixels
    assert len(variants_of(paper)) == 7


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if name != "paper"])  # which has a test of its own
def test_a_study_is_planned_in_seconds(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time, work, memory and disk are told, and nothing is written."""
    command = ["run", "--preset", name, "--out", str(tmp_path / "run"), "--dry-run", "--summary", "--device", "cpu"]
    assert app(command, standalone_mode=False) in (None, 0)
    out = capsys.readouterr().out
    assert re.search(r"^0 of \d+ stages are done; the others take about [\d.]+ (s|min|h) with", out, re.MULTILINE)
    assert re.search(r"^Work: [\d.,]+ core-hours; memory: [\d.]+ GB a process$", out, re.MULTILINE)
    assert re.search(r"^Disk: \d+ MB to write", out, re.MULTILINE)
    assert "Schedule: " not in out  # stages share the threads of this machine
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_schedule_of_the_paper_on_a_hundred_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a cluster: time and idle share of more and more workers, the longest chain, and what travels."""
    command = ["run", "--preset", "paper", "--out", str(tmp_path / "run"), "--dry-run", "--summary", "--device", "cpu"]
    cluster = ["--executor", "dask://127.0.0.1:1", "--workers", "100", "--store", "s3://bucket/paper"]
    assert app([*command, *cluster], standalone_mode=False) in (None, 0)
    out = capsys.readouterr().out
    rows = re.findall(r"^(\d+) +([\d.]+) h +(\d+) % +([\d.]+) GB *$", out, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [1, 2, 4, 8, 16, 32, 64, 100]
    hours, idle, moved = ([float(row[n]) for row in rows] for n in (1, 2, 3))
    assert hours == sorted(hours, reverse=True)
    assert 16 < hours[0] / hours[-1] < 100
    assert idle == sorted(idle)
    assert 8.0 < moved[0] < 20.0  # the trials, sent once, and what the stages leave
    assert moved[-1] < 100 * moved[0]
    chain = r"Schedule: the longest chain \(simulate → pretrain → finetune → evaluate → results\) takes ([\d.]+) h"
    assert (found := re.search(chain, out)) is not None
    assert float(found[1]) <= hours[-1]
    assert re.search(r"^0 of \d+ stages are done; the others take about [\d.]+ h on 100 workers", out, re.MULTILINE)
    assert re.search(r"^Work: [\d.,]+ core-hours; memory: [\d.]+ GB a process$", out, re.MULTILINE)
    assert not (tmp_path / "run").exists()
    assert re.search(r"^Transfer: \d+\.\d GB, [\d.]+ % of the workers' time at 100 MB/s for each$", out, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if name != "paper"])
def test_the_smallest_form_of_a_study_goes_through(name: str, tmp_path: Path) -> None:
    run = run_study(tmp_path / "run", smallest(name), report=True)
    found = load_run(run.path)
    assert {arm.name for arm in found.summary.arms} == {arm.name for arm in arms_of(run.settings)}
    axes = {axis.name for axis in axes_of(found)}
    assert axes == {*run.settings.grid, *(["training.seeds"] if len(run.settings.training.seeds) > 1 else [])}
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert ('<section id="axes">' in page) == bool(axes)
    if name == "task-shift":
        out = tmp_path / "shift"
        command = ["shift", str(run.path), "--out", str(out), "--device", "cpu", "--workers", "1"]
        assert app(command, standalone_mode=False) in (None, 0)
        assert [task.name for task in load_shift(out).tasks] == ["run", *run.settings.tests]


HUNDREDTH = [
    "trials={n_train: 200, n_validation: 20, n_fresh: 80, n_test: 80, region_pixels: 24, margin_pixels: 15}",
    "scanner={n_views: 40, n_bins: 92, bin_mm: 7.4, object_pixels: 32, object_pixel_mm: 10.4, pixel_mm: 1}",
    "training.lambdas=[0, 0.4, 0.8, 0.98]",
    "training.seeds=[0]",
    "training.pretrain_epochs=1",
    "training.finetune_epochs=1",
    "denoiser.arguments.n_channels=4",
    "grid={denoiser.arguments.n_layers: [3, 7, 15]}",
    "evaluation.n_bootstrap=100",
    "signal.position_mm=4",
]
"""A hundredth of the trials of the study at full scale, one of its five trainings, three of its depths, four of its λ
and every kind of stage, on small images."""


@pytest.mark.slow
def test_a_hundredth_of_the_study_at_full_scale_is_killed_and_goes_on(tmp_path: Path) -> None:
    """On two processes: what was done before the kill is not done again, and every arm has its figures."""
    out = tmp_path / "paper"
    command = [sys.executable, "-m", "taskct", "run", "--preset", "paper", "--out", str(out), "--device", "cpu"]
    command += ["--workers", "2", "--progress", "plain", *(word for one in HUNDREDTH for word in ("--set", one))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert process.stderr is not None
    n_trained = 0
    for line in process.stderr:
        n_trained += bool(re.match(r"finetune .*: [\d.]+ s$", line))
        if n_trained == 4:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    done = read_records(out)
    assert 6 <= len(done) < 20  # the trials, a pretraining or more, and the fine-tunings that were waited for
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == 0, again.stderr
    records = read_records(out)
    assert {name: records[name] for name in done} == done
    run = RunFolder(out, None, device=torch.device("cpu"))
    assert set(records) == set(run.graph)
    assert len(records) == 1 + 3 * (1 + 4) + (1 + 3 * 5) + 1
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert len(summary["arms"]) == 1 + 3 * 5
    assert all(np.isfinite(one["auc"]) for arm in summary["arms"] for one in arm["observers"].values())
    (axis,) = axes_of(load_run(out))
    assert {point.value for point in axis.points} == {"3", "7", "15"}


def test_training_on_the_first_trials_sees_no_others() -> None:
    """Their images come over and over; as many as before, so that the steps are as many."""
    trials = some_trials(n=10)
    few = first_repeated(trials, 4)
    assert len(few) == 10
    np.testing.assert_array_equal(few.noisy, trials.noisy[[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]])
    np.testing.assert_array_equal(few.signal_present, trials.signal_present[[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]])
    assert first_repeated(trials, None) is trials
    assert first_repeated(trials, 10) is trials


def test_a_training_on_the_first_trials_does_not_read_the_others(tmp_path: Path) -> None:
    """Two runs whose training trials differ but for the first eight end in the same weights."""
    settings = tiny_settings(training={"n_trials": 8, "lambdas": [0, 0.9], "other_head_lambda": None})
    first = run_study(tmp_path / "first", settings)
    other = RunFolder(tmp_path / "other", settings, device=torch.device("cpu"))
    sweep(other, ["simulate"])
    noisy = np.load(other.trials / "train" / "noisy.npy", mmap_mode="r+")
    noisy[8:] += 50.0
    noisy.flush()
    record = other.path / "stages" / "simulate.json"
    told = json.loads(record.read_text())
    del told["digests"]  # the stage is to stand as it is, with other images
    record.write_text(json.dumps(told))
    sweep(other, ["train"]).check()
    for file in sorted((first.path / "models").glob("*.safetensors")):
        assert (other.path / "models" / file.name).read_bytes() == file.read_bytes(), file.name
