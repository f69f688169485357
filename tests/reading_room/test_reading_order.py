"""What every reader sees in which order: crossed, blocked, balanced, blind; laws on many seeds."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from reading_studies import disc_cases, make_disc_study
from taskct.errors import UserError
from taskct.reading_room.cases import CaseImages
from taskct.reading_room.design import ReadingPlan
from taskct.reading_room.making import LaidOut, lay_out
from taskct.reading_room.order import ShownTrial, arm_of_block, orders_of, williams_rows
from taskct.reading_room.protocol import Design

SEEDS = range(12)
ARMS = ("a", "b", "c", "d")

FALSE_ALARM = 1e-4
"""Of each test of chance below; the seeds are fixed, so that it is drawn once."""


def some_cases(rng: np.random.Generator, n_present: int, n_absent: int, n_arms: int) -> CaseImages:
    return disc_cases(rng, (n_present, n_absent), ARMS[:n_arms], size=8, contrast_hu=0.0)


def laid_out(design: Design, classes: tuple[int, int], n_arms: int, seed: int) -> LaidOut:
    rng = np.random.default_rng(seed)
    return lay_out(some_cases(rng, *classes, n_arms), ReadingPlan(design, seed=seed), rng)


def studies(seeds: range = SEEDS) -> Iterator[tuple[LaidOut, dict[str, tuple[ShownTrial, ...]]]]:
    """Of every design and number of arms; the last ones show images without a signal again and again."""
    kinds: list[tuple[Design, tuple[int, int]]] = [
        ("rating", (5, 4)),
        ("locate", (2, 2)),
        ("2afc", (7, 7)),
        ("4afc", (6, 18)),
        ("2afc", (24, 12)),
        ("4afc", (30, 30)),
    ]
    for seed in seeds:
        for design, classes in kinds:
            for n_arms in (1, 2, 3, 4):
                study = laid_out(design, classes, n_arms, seed)
                yield study, orders_of(study.trials, study.images, ("Ann", "Bo", "Cy"), seed)


def test_a_reader_sees_every_case_in_every_arm_and_once_in_a_block() -> None:
    for study, orders in studies():
        arms = {trial.arm for trial in study.trials}
        cases = {trial.case for trial in study.trials}
        for order in orders.values():
            assert sorted(shown.trial for shown in order) == list(range(len(study.trials)))
            assert [shown.block for shown in order] == sorted(shown.block for shown in order)
            for block in range(len(arms)):
                seen = [study.trials[shown.trial] for shown in order if shown.block == block]
                assert Counter(trial.case for trial in seen) == Counter(cases)
                # Arms are mixed in a block, and each class of cases is spread over them as evenly as it can be.
                for truth in (True, False):
                    of_class = Counter(trial.arm for trial in seen if (trial.present is not None) is truth)
                    counts = [of_class[arm] for arm in arms]
                    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("n_arms", [2, 3, 4, 5])
def test_every_arm_follows_every_other_equally_often(n_arms: int) -> None:
    rows = williams_rows(n_arms)
    followed = Counter(pair for row in rows.tolist() for pair in pairwise(row))
    assert set(followed.values()) == {len(rows) // n_arms}
    assert len(followed) == n_arms * (n_arms - 1)
    for square in np.split(rows, len(rows) // n_arms):
        for line in (*square, *square.T):
            assert sorted(line) == list(range(n_arms))


@pytest.mark.parametrize("n_arms", [2, 3, 4])
def test_over_readers_each_case_is_seen_first_in_each_arm_equally_often(n_arms: int) -> None:
    n_readers = len(williams_rows(n_arms))
    for seed in SEEDS:
        study = laid_out("rating", (5, 6), n_arms, seed)
        readers = [f"reader-{number}" for number in range(n_readers)]
        orders = orders_of(study.trials, study.images, readers, seed)
        for block in range(n_arms):
            seen = Counter(
                (study.trials[shown.trial].case, study.trials[shown.trial].arm)
                for order in orders.values()
                for shown in order
                if shown.block == block
            )
            assert set(seen.values()) == {n_readers // n_arms}
            assert len(seen) == 11 * n_arms
    assert {tuple(arm_of_block(n_arms, 0, reader)) for reader in range(n_readers)} == set(
        map(tuple, williams_rows(n_arms).tolist())
    )


def test_no_image_follows_itself() -> None:
    for study, orders in studies():
        for order in orders.values():
            for one, other in pairwise(order):
                a, b = study.trials[one.trial], study.trials[other.trial]
                assert a.case != b.case
                assert not set(one.images) & set(other.images)


def test_images_that_are_alike_do_not_follow_one_another() -> None:
    for seed in SEEDS:
        study = laid_out("rating", (6, 6), 3, seed)
        for trial in study.trials:  # one image stands for three cases, and an arm changes nothing
            if trial.case in ("case 1", "case 2", "case 7"):
                study.images[trial.images[0]] = 7
            elif trial.arm == "b":
                twin = next(one for one in study.trials if one.case == trial.case and one.arm == "a")
                study.images[trial.images[0]] = study.images[twin.images[0]]
        for order in orders_of(study.trials, study.images, ("Ann", "Bo"), seed).values():
            for one, other in pairwise(order):
                assert not np.array_equal(study.images[one.images[0]], study.images[other.images[0]])


def test_images_that_are_all_alike_are_refused() -> None:
    study = laid_out("rating", (3, 3), 2, 0)
    study.images[:] = 7
    with pytest.raises(UserError, match="6 cases are too few, or too much alike"):
        orders_of(study.trials, study.images, ("Ann",), 0)


def test_the_signal_stands_at_each_place_equally_often_in_each_arm() -> None:
    for design, n_sets, n in (("2afc", 9, 2), ("4afc", 10, 4)):
        for seed in SEEDS:
            study = laid_out(design, (n_sets, n_sets * (n - 1)), 3, seed)  # type: ignore[arg-type]
            for order in orders_of(study.trials, study.images, ("Ann", "Bo"), seed).values():
                places: dict[str, Counter[int]] = {arm: Counter() for arm in ARMS[:3]}
                for shown in order:
                    trial = study.trials[shown.trial]
                    assert sorted(shown.images) == sorted(trial.images)
                    assert trial.present is not None
                    places[trial.arm][shown.images.index(trial.images[trial.present])] += 1
                for counts in places.values():
                    assert {counts[place] for place in range(n)} <= {n_sets // n, n_sets // n + 1}


def _uniform(counts: Counter[int], n: int) -> float:
    """P value of a chi-square test that numbers 0 to n − 1 are equally frequent."""
    return float(stats.chisquare([counts[number] for number in range(n)]).pvalue)


def test_the_order_of_a_block_is_random() -> None:
    """The place of a case, the arm of the first trial and the place of its signal; 400 studies."""
    places, slots, first_arm = Counter[int](), Counter[int](), Counter[int]()
    for seed in range(400):
        study = laid_out("4afc", (6, 18), 2, seed)
        order = orders_of(study.trials, study.images, ("Ann",), seed)["Ann"]
        block = [shown for shown in order if shown.block == 0]
        places[[study.trials[shown.trial].case for shown in block].index("set 1")] += 1
        first_arm[ARMS.index(study.trials[block[0].trial].arm)] += 1
        known = study.trials[order[0].trial]
        slots[order[0].images.index(known.images[known.present or 0])] += 1
    for counts, n in ((places, 6), (first_arm, 2), (slots, 4)):
        assert _uniform(counts, n) > FALSE_ALARM


def test_two_readers_and_two_seeds_have_orders_of_their_own() -> None:
    study = laid_out("rating", (10, 10), 2, 0)
    one, other = orders_of(study.trials, study.images, ("Ann", "Bo"), 0).values()
    assert orders_of(study.trials, study.images, ("Ann",), 0)["Ann"] == one
    assert one != other
    assert orders_of(study.trials, study.images, ("Ann",), 1)["Ann"] != one
    # The same numbers at the same places would be chance alone: 20 cases a block agree at one place on average.
    assert sum(a.trial == b.trial for a, b in zip(one, other, strict=True)) < 12  # P of more is below 1e-6


def test_rows_of_images_tell_neither_arm_nor_truth() -> None:
    """Over 300 studies: the mean row of a class, and how often neighbours are of one class or one arm."""
    means: dict[str, list[float]] = {"arm": [], "truth": []}
    alike: dict[str, list[float]] = {"arm": [], "truth": []}
    for seed in range(300):
        study = laid_out("rating", (8, 8), 2, seed)
        n = len(study.images)
        for name in means:
            label = np.zeros(n, dtype=bool)
            for trial in study.trials:
                label[trial.images[0]] = trial.arm == "a" if name == "arm" else trial.present is not None
            means[name].append(float(np.flatnonzero(label).mean() - (n - 1) / 2.0))
            alike[name].append(float(np.mean(label[1:] == label[:-1])))
    for name in means:
        assert stats.ttest_1samp(means[name], 0.0).pvalue > FALSE_ALARM
        # Of 32 rows, 16 of each kind, a neighbour is of the same kind with probability 15/31.
        assert stats.ttest_1samp(alike[name], 15 / 31).pvalue > FALSE_ALARM


def test_numbers_of_trials_in_the_key_tell_nothing_either() -> None:
    first = Counter[int]()
    for seed in range(300):
        trial = laid_out("2afc", (6, 6), 3, seed).trials[0]
        first[ARMS.index(trial.arm)] += 1
    assert _uniform(first, 3) > FALSE_ALARM


def test_sets_use_images_without_a_signal_as_seldom_as_possible() -> None:
    for seed in SEEDS:
        study = laid_out("4afc", (10, 12), 2, seed)
        for arm in ("a", "b"):
            shown = Counter(row for trial in study.trials if trial.arm == arm for row in trial.images)
            absent = [shown[row] for row in shown if not any(_signal(trial) == row for trial in study.trials)]
            assert len(absent) == 12
            assert set(absent) == {2, 3}  # 30 places for 12 images
        sets = {(trial.case, trial.arm): trial for trial in study.trials}
        for number in range(1, 11):  # the same sets in every arm, by background, which names a case here
            assert sets[f"set {number}", "a"].background == sets[f"set {number}", "b"].background


def _signal(trial: object) -> int:
    return trial.images[trial.present]  # type: ignore[attr-defined, no-any-return]


def test_sets_keep_to_a_background_where_they_can() -> None:
    rng = np.random.default_rng(0)
    cases = some_cases(rng, 4, 4, 1)
    patients = ("p", "p", "q", "q")
    cases = CaseImages(cases.images, cases.names, cases.present, cases.lesions, patients * 2, cases.groups)
    study = lay_out(cases, ReadingPlan("2afc"), rng)
    row = {study.images[i].tobytes(): i for i in range(8)}
    patient = {row[cases.images["a"][i].tobytes()]: (patients * 2)[i] for i in range(8)}
    for trial in study.trials:
        assert {patient[one] for one in trial.images} == {trial.background}


@pytest.mark.parametrize("design", ["2afc", "4afc"])
def test_the_signal_of_training_trials_is_in_each_place_as_often(tmp_path, design):
    study = make_disc_study(tmp_path / "study", design, n_training=8)
    places = np.bincount([trial.present for trial in study.training])
    assert places.tolist() == [8 // study.protocol.n_alternatives] * study.protocol.n_alternatives
