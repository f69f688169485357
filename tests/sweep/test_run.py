"""A whole study, so small that its figures mean nothing: what it writes, and that it goes on after a kill."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from taskct.cli import app
from taskct.errors import UserError
from taskct.study.arms import arms_of
from taskct.study.records import FAILURES
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from taskct.trials.store import read_trials
from taskct.trials.trials import SPLITS
from tiny_study import files_of, run_study, tiny_run, tiny_settings, tiny_yaml

__all__ = ["tiny_run"]  # a fixture

INTERVAL = {"value", "ci_low", "ci_high"}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def summary(run: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run.path / "summary.json").read_text())
    return content


def test_the_run_folder_of_the_design(tiny_run: RunFolder) -> None:
    names = {entry.name for entry in tiny_run.path.iterdir()}
    wanted = {"study.yaml", "provenance.json", "trials", "models", "scores.csv", "summary.json", "report.html"}
    assert wanted <= names
    stems = {arm.file_stem for arm in arms_of(tiny_run.settings) if arm.trained or arm.name == "mse"}
    models = {entry.name for entry in (tiny_run.path / "models").iterdir()}
    blends = {f"{arm.parts[1].file_stem}.blend" for arm in arms_of(tiny_run.settings) if arm.alpha is not None}
    endings = (".safetensors", ".json", ".results.json")
    assert models == {stem + ending for stem in stems | blends for ending in endings}
    assert not [name for name in files_of(tiny_run.path) if "partial" in name or "tmp" in name]


def named_in_docs() -> set[str]:
    """The words in code type of the documentation's list of a run folder."""
    text = (Path(__file__).parents[2] / "docs" / "run-folder.md").read_text(encoding="utf-8")
    return set(re.findall(r"`([^`]+)`", text))


def test_the_documentation_names_every_file_that_a_run_writes(tiny_run: RunFolder, tmp_path: Path) -> None:
    """Every entry of the folder, and in its folders of arms and stages every ending."""
    known = named_in_docs()
    # What is there only while a run lasts, or when a training went wrong.
    passing = {FAILURES, "trials.partial/", "training/", ".last-good.safetensors", ".progress", "tensorboard/"}
    entries = {entry.name + ("/" if entry.is_dir() else "") for entry in tiny_run.path.iterdir()}
    endings = set()
    for folder in ("models", "evaluated", "logs", "stages"):
        for file in (tiny_run.path / folder).iterdir():
            found = re.match(r"(.*seed=\d+|evaluate_low-dose|simulate|results|log(?=\.lock)|)(.*)", file.name)
            assert found is not None
            endings.add(found[2])
    assert {".safetensors", ".json", ".blend.safetensors", ".images.npz", ".jsonl", ".lock", "log.jsonl"} <= endings
    assert sorted((entries | endings | passing) - known) == []


def test_the_splits_share_no_background(tiny_run: RunFolder) -> None:
    splits = {name: read_trials(tiny_run.trials, name) for name in SPLITS}
    for name, trials in splits.items():
        assert len(trials) == getattr(tiny_run.settings.trials, f"n_{name}")
        assert abs(int(trials.signal_present.sum()) - len(trials) / 2) <= 0.5
    for a, b in combinations(splits.values(), 2):
        assert not set(a.truth["case"]) & set(b.truth["case"])
        # And not by name alone: without a signal, noise-free images of one background would be equal.
        for image in a.reference:
            assert float(np.abs(b.reference - image).max(axis=(1, 2)).min()) > 1.0


def test_the_schema_of_the_summary(tiny_run: RunFolder) -> None:
    """Key by key."""
    content = summary(tiny_run)
    assert list(content) == ["schema", "study", "n_test", "arms", "paired"]
    assert (content["schema"], content["study"], content["n_test"]) == (1, "tiny", {"present": 20, "absent": 20})
    keys = {"name", "lambda", "alpha", "price", "head", "seed", "image_quality", "observers", "hallucination"}
    for found, arm in zip(content["arms"], arms_of(tiny_run.settings), strict=True):
        assert set(found) == keys
        assert (found["name"], found["lambda"], found["alpha"]) == (arm.name, arm.task_weight, arm.alpha)
        assert (found["head"], found["seed"]) == (arm.head, arm.seed)
        assert set(found["image_quality"]) == {"rmse_hu", "psnr_db", "ssim"}
        assert set(found["hallucination"]) == {"absent_bias_hu", "present_bias_hu"}
        for interval in (*found["image_quality"].values(), *found["hallucination"].values()):
            assert set(interval) == INTERVAL
            assert interval["ci_low"] <= interval["value"] <= interval["ci_high"]
        assert set(found["observers"]) == {"slnn", "ho", "ho_eye"} | ({"slnn_joint"} if arm.trained else set())
        for observer in found["observers"].values():
            assert set(observer) == {"auc", "ci_low", "ci_high"}
            assert 0 <= observer["ci_low"] <= observer["auc"] <= observer["ci_high"] <= 1
    wanted = {"arm", "versus", "observer", "seed", "delta_auc", "ci_low", "ci_high", "p_value"}
    assert content["paired"]
    for pair in content["paired"]:
        assert set(pair) == wanted
        assert pair["ci_low"] <= pair["delta_auc"] <= pair["ci_high"]
        assert 0 <= pair["p_value"] <= 1


def test_every_lambda_is_compared_with_its_control(tiny_run: RunFolder) -> None:
    pairs = {(p["arm"], p["versus"], p["observer"], p["seed"]) for p in summary(tiny_run)["paired"]}
    for seed in (0, 1):
        for observer in ("slnn", "ho", "ho_eye"):
            assert ("lambda=0.9", "lambda=0", observer, seed) in pairs
            assert ("lambda=0.9 alpha=0.5", "lambda=0", observer, seed) in pairs
            other = next(a.name for a in arms_of(tiny_run.settings) if "head=" in a.name and a.task_weight)
            assert (other, other.replace("0.9", "0"), observer, seed) in pairs
        assert ("lambda=0.9", "lambda=0", "slnn_joint", seed) in pairs


def test_scores_hold_everything_and_every_auc_follows_from_them(tiny_run: RunFolder) -> None:
    """scikit-learn recomputes each AUC of the summary from scores.csv alone."""
    rows = read_csv(tiny_run.path / "scores.csv")
    columns = ["arm", "lambda", "seed", "observer", "fitted", "trial", "signal_present", "test_statistic", "case"]
    assert list(rows[0]) == columns
    truth = read_trials(tiny_run.trials, "test").signal_present
    groups = defaultdict(list)
    for row in rows:
        observer = "slnn_joint" if row["fitted"] == "joint" else row["observer"]
        assert row["fitted"] in ("joint", "fresh")
        assert bool(int(row["signal_present"])) == truth[int(row["trial"])]
        groups[row["arm"], int(row["seed"]), observer].append(row)
    auc, delta = {}, {}
    for key, group in groups.items():
        assert [int(row["trial"]) for row in group] == list(range(len(truth)))
        auc[key] = roc_auc_score(truth, [float(row["test_statistic"]) for row in group])
    content = summary(tiny_run)
    for arm in content["arms"]:
        for observer, value in arm["observers"].items():
            assert value["auc"] == pytest.approx(auc.pop((arm["name"], arm["seed"], observer)), abs=1e-12)
            delta[arm["name"], arm["seed"], observer] = value["auc"]
    assert not auc  # nothing in the table that is not in the summary
    for pair in content["paired"]:
        own, other = (delta[pair[which], pair["seed"], pair["observer"]] for which in ("arm", "versus"))
        assert pair["delta_auc"] == pytest.approx(own - other, abs=1e-12)


def test_image_quality_follows_from_quality_csv(tiny_run: RunFolder) -> None:
    squares, similar, bias = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in read_csv(tiny_run.path / "quality.csv"):
        key = (row["arm"], int(row["seed"]))
        squares[key].append(float(row["mse_hu2"]))
        similar[key].append(float(row["ssim"]))
        bias[*key, row["signal_present"]].append(float(row["site_bias_hu"]))
    for arm in summary(tiny_run)["arms"]:
        key, quality, hallucination = (arm["name"], arm["seed"]), arm["image_quality"], arm["hallucination"]
        mse = np.mean(squares[key])
        peak = tiny_run.settings.evaluation.data_range_hu
        assert quality["rmse_hu"]["value"] == pytest.approx(np.sqrt(mse), rel=1e-6)
        assert quality["psnr_db"]["value"] == pytest.approx(10 * np.log10(peak**2 / mse), rel=1e-6)
        assert quality["ssim"]["value"] == pytest.approx(np.mean(similar[key]), rel=1e-6)
        assert hallucination["present_bias_hu"]["value"] == pytest.approx(np.mean(bias[*key, "1"]), rel=1e-5, abs=1e-5)
        assert hallucination["absent_bias_hu"]["value"] == pytest.approx(np.mean(bias[*key, "0"]), rel=1e-5, abs=1e-5)


def test_the_low_dose_error_is_that_of_the_trials(tiny_run: RunFolder) -> None:
    trials = read_trials(tiny_run.trials, "test")
    error = (trials.noisy.astype(float) - trials.reference)[:, 2:-2, 2:-2]
    low_dose = summary(tiny_run)["arms"][0]
    assert low_dose["name"] == "low-dose"
    assert low_dose["image_quality"]["rmse_hu"]["value"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)


def results_of(folder: Path) -> dict[str, bytes]:
    """What a run found out; provenance.json and the cards tell of the moment, too."""
    names = ("study.yaml", "summary.json", "scores.csv", "quality.csv", "choices.json", "tradeoff.json", "task.json")
    weights = sorted((folder / "models").glob("*.safetensors"))
    return {path.name: path.read_bytes() for path in [*(folder / name for name in names), *weights]}


def test_deterministic_for_a_seed(tiny_run: RunFolder, tmp_path: Path) -> None:
    again = run_study(tmp_path / "again", tiny_run.settings)
    assert results_of(again.path) == results_of(tiny_run.path)
    other = run_study(tmp_path / "other", tiny_settings(seed=1, training={"seeds": [0]}))
    assert summary(other)["arms"][0] != summary(tiny_run)["arms"][0]


def test_training_seeds_share_the_trials(tiny_run: RunFolder) -> None:
    arms = {(arm["name"], arm["seed"]): arm for arm in summary(tiny_run)["arms"]}
    first, second = arms["low-dose", 0], arms["low-dose", 1]
    assert {**first, "seed": 1} == second
    assert arms["mse", 0]["image_quality"] != arms["mse", 1]["image_quality"]


def test_nothing_is_done_twice(tiny_run: RunFolder) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        return {
            name: ((tiny_run.path / name).stat().st_mtime_ns, data) for name, data in files_of(tiny_run.path).items()
        }

    class NoProgress:
        def open(self, title: str) -> Any:
            pytest.fail(f"{title} was begun again")

    before = state()
    again = RunFolder(tiny_run.path, tiny_run.settings, device=tiny_run.device)
    assert not sweep(again, ["simulate"], show=NoProgress()).did
    sweep(again, ["train"], show=NoProgress()).check()
    assert not sweep(again, ["evaluate"], show=NoProgress()).did
    assert state() == before


def test_another_study_does_not_touch_it(tiny_run: RunFolder) -> None:
    before = files_of(tiny_run.path)
    with pytest.raises(UserError, match="holds another study"):
        run_study(tiny_run.path, tiny_settings(trials={"n_test": 44}, training={"seeds": [0, 1]}))
    assert files_of(tiny_run.path) == before


def call(*args: object) -> None:
    """A command in this process, which must succeed."""
    assert app([str(arg) for arg in args], standalone_mode=False) in (None, 0)


def test_each_command_alone_makes_what_run_makes(tmp_path: Path) -> None:
    file = tiny_yaml(tmp_path / "tiny.yaml")
    alone = ("--device", "cpu", "--workers", "1")
    call("run", file, "--out", tmp_path / "whole", *alone)
    call("simulate", file, "--out", tmp_path / "steps", *alone)
    for command in ("train", "evaluate"):
        call(command, tmp_path / "steps", *alone)
    call("report", tmp_path / "steps")
    assert results_of(tmp_path / "steps") == results_of(tmp_path / "whole")
    assert (tmp_path / "steps" / "report.html").stat().st_size > 10_000
    assert {*files_of(tmp_path / "steps")} == {*files_of(tmp_path / "whole")}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: (run / "models" / "lambda=0_seed=0.safetensors").write_bytes(b"half"),
        lambda run: (run / "models" / "mse_seed=0.json").unlink(),
        lambda run: (run / "trials" / "test" / "noisy.npy").unlink(),
        lambda run: (run / "scores.csv").write_text((run / "scores.csv").read_text()[:1000]),
    ],
    ids=["weights cut short", "card gone", "trials incomplete", "scores cut short"],
)
def test_what_is_incomplete_is_made_whole(tiny_run: RunFolder, tmp_path: Path, spoil: Any) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run")
    spoil(tmp_path / "run")
    run_study(tmp_path / "run", tiny_run.settings)
    assert results_of(tmp_path / "run") == results_of(tiny_run.path)


def start(file: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "taskct", "run", str(file), "--out", str(out), "--device", "cpu"]
    command += ["--workers", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def kill_while(process: subprocess.Popen[str], after: str, wait_s: float) -> None:
    """SIGKILL a run a moment after it has said that a stage is done."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(after):
            break
    time.sleep(wait_s)
    process.kill()
    process.stderr.close()
    assert process.wait() == -9, "the run was over before it could be killed"


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    # Enough epochs that a stage takes a second or two, so that the kill lands inside it.
    file = tiny_yaml(tmp_path / "tiny.yaml", training={"pretrain_epochs": 150, "finetune_epochs": 120})
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    kill_while(start(file, broken), "simulate:", 0.2)  # inside pretraining
    assert list(json.loads((broken / "provenance.json").read_text())["stages"]) == ["simulate"]
    trials = files_of(broken / "trials")
    kill_while(start(file, broken), "pretrain seed=0:", 0.2)  # inside fine-tuning
    done = json.loads((broken / "provenance.json").read_text())["stages"]
    assert list(done)[:2] == ["simulate", "pretrain seed=0"]
    assert "results" not in done
    # What a kill at the worst moment leaves: halves that were never moved into place.
    (broken / "trials.partial").mkdir()
    (broken / "summary.json.partial").write_text("{")
    (broken / "models" / "lambda=0.9_seed=0.safetensors.partial").write_bytes(b"half")

    process = start(file, broken)
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    call("run", file, "--out", whole, "--device", "cpu", "--workers", "1", "--threads", "1")
    assert results_of(broken) == results_of(whole)
    assert files_of(broken / "trials") == trials
    stages = json.loads((broken / "provenance.json").read_text())["stages"]
    assert {name: stages[name] for name in done} == done  # not repeated: same wall time, same moment


def test_further_observers_stand_beside_the_three(tmp_path: Path) -> None:
    settings = tiny_settings(observers={"more": ["cho_lg", "npwe", "ho_lw"]})
    run = run_study(tmp_path / "run", settings, report=True)
    for arm in summary(run)["arms"]:
        assert [name for name in arm["observers"] if name != "slnn_joint"] == [
            "slnn", "ho", "ho_eye", "cho_lg", "npwe", "ho_lw",
        ]  # fmt: skip
    notes = json.loads((run.path / "task.json").read_text())["observer_notes"]
    assert "40 training trials for 10 channels" in notes["cho_lg"]
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "fresh CHO, Laguerre–Gauss channels" in page
    assert "40 training trials for 10 channels" in page
