"""`observers.human`: the observer with the noise of people in a study; a file that is missing, broken or changed."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from command_line import call, refused
from human_noise import HUMAN_NOISE
from taskct.errors import UserError
from taskct.observers.internal_noise import write_fitted_noise
from taskct.reading_room.answer import Answer
from taskct.reading_room.answers import ANSWERS, AnswerBook, now
from taskct.reading_room.folder import StudyFolder
from taskct.study.checks import check_arms
from taskct.study.run_folder import RunFolder
from tiny_study import run_study, tiny_settings

__all__ = ["call", "refused"]  # fixtures

NOISE = replace(HUMAN_NOISE, pixel_mm=1.0)
"""The pixels of the tiny study."""

ONE_SIGNAL = {"diameter_mm": [6, 6], "contrast_hu": [60, 60]}
"""So that its test trials are one stratum."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("human")
    (folder / "human.json").write_text(write_fitted_noise(NOISE), encoding="utf-8")
    settings = tiny_settings(observers={"human": str(folder / "human.json"), "more": ["cho_lg"]}, signal=ONE_SIGNAL)
    return run_study(folder / "run", settings, report=True)


def test_every_arm_is_evaluated_by_it_and_every_table_follows(run, call):
    rows = list(csv.DictReader((run.path / "scores.csv").read_text(encoding="utf-8").splitlines()))
    arms = {row["arm"] for row in rows}
    assert {row["arm"] for row in rows if row["observer"] == "human"} == arms
    assert len(arms) > 2
    assert '"human"' in (run.path / "summary.json").read_text(encoding="utf-8")
    assert "human-like observer" in (run.path / "report.html").read_text(encoding="utf-8")
    code, out, err = call("mrmc", run.path, "--observer", "human", "--json")
    assert code == 0, err
    assert set(json.loads(out)["modalities"]) == arms


def test_a_changed_file_has_the_evaluations_done_again_and_the_same_one_not(run):
    settings, file = run.settings, run.path.parent / "human.json"
    stage = next(stage for stage in run.graph.values() if stage.kind == "evaluate")
    trained = next(stage for stage in run.graph.values() if stage.kind == "finetune")
    before = file.read_text(encoding="utf-8")
    try:
        assert RunFolder(run.path, settings, device=torch.device("cpu")).has(stage)
        file.write_text(write_fitted_noise(replace(NOISE, alpha=0.6)), encoding="utf-8")
        again = RunFolder(run.path, settings, device=torch.device("cpu"))
        assert not again.has(stage)
        assert again.has(trained)
    finally:
        file.write_text(before, encoding="utf-8")


def test_a_file_that_cannot_be_used_is_one_line_before_anything_is_simulated(tmp_path):
    missing = tiny_settings(observers={"human": str(tmp_path / "none.json")})
    with pytest.raises(UserError, match=r"observers\.human: .*no such file"):
        check_arms(missing)
    (tmp_path / "broken.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="no fitted observer"):
        check_arms(tiny_settings(observers={"human": str(tmp_path / "broken.json")}))
    (tmp_path / "other.json").write_text(write_fitted_noise(replace(NOISE, pixel_mm=0.5)), encoding="utf-8")
    with pytest.raises(UserError, match=r"pixels of 0\.5 mm"):
        check_arms(tiny_settings(observers={"human": str(tmp_path / "other.json")}))


def test_a_reading_study_is_fitted_on_the_run_it_was_made_of(tmp_path, call, run):
    """The run has 20 fresh trials of each class: figures mean nothing, but every part is real."""
    made = ("--arms", "low-dose,mse", "--cases", 16, "--readers", "Anna,Bert,Cleo", "--seed", 1, "--training", 0)
    code, out, err = call("read", run.path, *made, "--make-only", "--out", tmp_path / "study")
    assert code == 0, err
    study = StudyFolder.open(tmp_path / "study")
    key, rng = study.read_key(), np.random.default_rng(0)
    with AnswerBook(study.path / ANSWERS) as book:
        book.bind(study.digest)
        for reader, order in study.orders.items():
            for position, shown in enumerate(order):
                trial = key.trials[shown.trial]
                right = rng.random() < 0.75
                choice = trial.images[trial.present if right else 1 - trial.present]
                book.record(Answer(reader, "reading", position, shown.trial, 1.0, now(), choice=choice), {})
    options = ("--run", run.path, "--observer", "npw", "--json", "--device", "cpu")
    code, out, err = call("human", study.path, *options)
    assert code == 0, err
    found = json.loads(out)
    assert [one["arm"] for one in found["conditions"]] == ["low-dose", "mse"]
    assert found["fitted"]["pixel_mm"] == run.settings.scanner.pixel_mm
    assert found["fitted"]["fitted_on"]["n_answers"] == 3 * 2 * 16


def test_another_run_than_the_studys_is_refused(tmp_path, call, refused, run):
    made = (
        "--arms",
        "low-dose",
        "--cases",
        8,
        "--seed",
        1,
        "--training",
        0,
        "--make-only",
        "--out",
        tmp_path / "study",
    )
    code, _, err = call("read", run.path, *made)
    assert code == 0, err
    study = StudyFolder.open(tmp_path / "study")
    with AnswerBook(study.path / ANSWERS) as book:
        book.bind(study.digest)
        for reader, order in study.orders.items():
            for position, shown in enumerate(order):
                book.record(Answer(reader, "reading", position, shown.trial, 1.0, now(), choice=shown.images[0]), {})
    other = run_study(tmp_path / "run", tiny_settings(signal=ONE_SIGNAL, seed=7))
    words = refused("human", study.path, "--run", other.path, "--observer", "npw", "--device", "cpu")
    assert "its test trials are not the images of the study, arm low-dose" in words
