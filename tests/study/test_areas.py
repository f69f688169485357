"""AUCs of a study: clustered where trials share a background, and over training seeds."""

import dataclasses
import json

import numpy as np
import pytest

from taskct.apply.ratings import ratings_of_run, shared_note
from taskct.metrics.clustered import Clusters
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.roc import delong_interval, paired_delong
from taskct.names import ArmName
from taskct.study.arm_result import ArmResult
from taskct.study.arms import Arm
from taskct.study.resampling import unit_of
from taskct.study.run_folder import RunFolder
from taskct.study.summary import by_group, retraining
from taskct.trials.trials import TRUTH, Trials
from tiny_study import tiny_run

__all__ = ["tiny_run"]  # a fixture

N = 120
PRESENT = np.arange(N) % 2 == 0
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(2, N)) + RNG.normal(size=N) + PRESENT


def test_of(cases):
    image = np.zeros((N, 4, 4), dtype=np.float32)
    return Trials(image, image, PRESENT, {key: np.zeros(N) for key in TRUTH} | {"case": np.asarray(cases, dtype=float)})


test_of.__test__ = False


def test_trials_of_their_own_cases_are_delongs():
    test = test_of(np.arange(N))
    assert unit_of(test).auc(SCORES[0]) == delong_interval(SCORES[0][PRESENT], SCORES[0][~PRESENT])
    assert unit_of(test).auc_difference(SCORES) == paired_delong(SCORES[:, PRESENT], SCORES[:, ~PRESENT])


def test_trials_that_share_cases_are_clustered():
    cases = np.arange(N) // 6
    clusters = Clusters.of(cases[PRESENT], cases[~PRESENT])
    test = test_of(cases)
    wanted = delong_interval(SCORES[0][PRESENT], SCORES[0][~PRESENT], clusters)
    assert unit_of(test).auc(SCORES[0]) == wanted
    assert wanted != delong_interval(SCORES[0][PRESENT], SCORES[0][~PRESENT])
    assert unit_of(test).auc_difference(SCORES) == paired_delong(SCORES[:, PRESENT], SCORES[:, ~PRESENT], clusters)


def arm_results(n_seeds):
    found = []
    for seed in range(n_seeds):
        for weight, gain in ((0.0, 0.0), (0.9, 0.5)):
            scores = {"ho": SCORES[0] + gain * PRESENT + 0.3 * RNG.normal(size=N)}
            found.append(ArmResult(Arm(ArmName("lambda", weight, seed=seed)), scores, {}, {}, {}, 1.0, None))
    return found


def test_seeds_are_the_readers():
    results, pair = arm_results(3), [("lambda=0.9", "lambda=0")]
    (row,) = retraining(results, pair, unit_of(test_of(np.arange(N))))
    assert row["n_seeds"] == 3
    assert row["ci_low"] < row["delta_auc"] < row["ci_high"]
    assert retraining(arm_results(1), pair, unit_of(test_of(np.arange(N)))) == []


def test_seeds_are_readers_of_shared_backgrounds_too():
    """Copies of trials on their backgrounds say what the trials do; the other analysis of those agrees nearly."""
    results, pair = arm_results(3), [("lambda=0.9", "lambda=0")]
    (plain,) = retraining(results, pair, unit_of(test_of(np.arange(N))))
    copied = [dataclasses.replace(r, scores={"ho": np.repeat(r.scores["ho"], 4)}) for r in results]
    image = np.zeros((4 * N, 4, 4), dtype=np.float32)
    truth = {key: np.zeros(4 * N) for key in TRUTH} | {"case": np.repeat(np.arange(N), 4).astype(float)}
    (shared,) = retraining(copied, pair, unit_of(Trials(image, image, np.repeat(PRESENT, 4), truth)))
    assert shared["delta_auc"] == pytest.approx(plain["delta_auc"], abs=1e-12)
    width, wanted = (row["ci_high"] - row["ci_low"] for row in (shared, plain))
    # Four copies as trials of their own would halve it. The two analyses differ in degrees of freedom and small parts.
    assert width == pytest.approx(wanted, rel=0.2)
    assert [shared["n_seeds"], shared["observer"]] == [3, "ho"]


def test_an_observer_that_a_seed_lacks_has_no_row():
    results, pair = arm_results(2), [("lambda=0.9", "lambda=0")]
    del results[3].scores["ho"]
    assert retraining(results, pair, unit_of(test_of(np.arange(N)))) == []


def test_a_group_with_one_background_of_a_class_has_no_interval():
    cases = np.where(np.arange(N) < N // 2, 0, np.arange(N) // 6)
    unit = unit_of(test_of(cases))
    assert unit.cases is not None
    group = (np.arange(N) >= N // 2).astype(np.int64)
    (result, *_) = arm_results(1)
    rows = by_group([result], group, ("one", "many"), unit)
    assert [(row["group"], np.isnan(row["ci_low"]), np.isnan(row["ci_high"])) for row in rows] == [
        ("one", True, True),
        ("many", False, False),
    ]
    t, inside = result.scores["ho"], group == 0
    assert rows[0]["auc"] == delong_interval(t[inside & PRESENT], t[inside & ~PRESENT]).value


def test_a_run_says_the_same_by_its_file_and_by_the_command(tiny_run: RunFolder):
    rows = json.loads((tiny_run.path / "retraining.json").read_text())["rows"]
    row = next(r for r in rows if (r["arm"], r["versus"], r["observer"]) == ("lambda=0.9", "lambda=0", "slnn_joint"))
    ratings = ratings_of_run(tiny_run.path, "slnn_joint")
    assert ratings.readers == ("seed 0", "seed 1")
    found = analyze(ratings).differences["lambda=0-lambda=0.9"]
    # scores.csv has nine digits, which may turn a tie of 40 trials.
    assert row["delta_auc"] == pytest.approx(-found.auc, abs=1e-6)
    assert row["ci_low"] == pytest.approx(-found.ci_high, abs=1e-4)


def test_a_reader_study_of_a_run_says_that_its_trials_share_backgrounds(tmp_path):
    for cases, said in ((np.arange(N), False), (np.arange(N) // 6, True)):
        (tmp_path / "task.json").write_text(json.dumps({"resampling": unit_of(test_of(cases)).as_json()}))
        assert ("these intervals are too narrow" in (shared_note(tmp_path) or "")) is said
    assert shared_note(tmp_path / "ratings.csv") is None


def test_each_task_by_itself() -> None:
    """A score that is perfect on one group and reversed on the other: AUC 1 and 0; a group of one class has no row."""
    n = 12
    group = np.arange(n) // 4
    present = np.array([True, True, False, False] * 2 + [True] * 4)
    t = np.where(present, 1.0, 0.0) * np.where(group == 0, 1.0, -1.0)
    images = np.zeros((n, 2, 2), dtype=np.float32)
    test = Trials(images, images, present, {name: np.arange(n, dtype=float) for name in TRUTH})
    (first, *_) = arm_results(1)
    result = dataclasses.replace(first, scores={"ho": t})
    rows = by_group([result], group, ("a", "b", "c"), unit_of(test))
    assert [(row["group"], row["auc"], row["n_present"], row["n_absent"]) for row in rows] == [
        ("a", 1.0, 2, 2),
        ("b", 0.0, 2, 2),
    ]
    assert by_group([result], np.zeros(n, dtype=np.int64), ("all",), unit_of(test)) == []
