"""Studies read from end to end by observers whose performance is known, two at once, through the pixels of the page."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binomtest

from reading_pages import ReaderPage, served
from reading_studies import BACKGROUND_HU, NOISE_HU, disc, make_disc_study
from taskct.metrics.roc import auc, delong_interval
from taskct.reading_room.results import results_of

SIZE = 32
READERS = ("Ann", "Bo")
N_CASES = 60
DETECTABILITY = 1.2
CENTRE_HU, WIDTH_HU = BACKGROUND_HU, 200.0
TEMPLATE = disc(SIZE, (SIZE - 1) / 2, (SIZE - 1) / 2, 1.0)
CONTRAST_HU = DETECTABILITY * NOISE_HU / np.sqrt(TEMPLATE.sum())
EXPECTED = float(ndtr(DETECTABILITY / np.sqrt(2)))  # percent correct of two alternatives, and AUC
FALSE_ALARM = 5e-4  # of each reader


def _statistic(hu):
    """The matched filter, ideal in white noise: d' is `DETECTABILITY`. In units of its spread, 0 between classes."""
    mean = np.sum((hu - BACKGROUND_HU) * TEMPLATE) / TEMPLATE.sum()
    return (mean - CONTRAST_HU / 2) / (NOISE_HU / np.sqrt(TEMPLATE.sum()))


def _seen(reader: ReaderPage, slot):
    """HU as the screen shows them: the pixels of the canvas, put back through the window."""
    levels = reader.levels(slot)
    zoom = len(levels) // SIZE
    return CENTRE_HU + (levels[::zoom, ::zoom] / 255 - 0.5) * WIDTH_HU


def _rating(statistic):
    return int(np.clip(np.rint(50 + 12 * statistic), 0, 100))


def _read(browser, room, answer_of):
    """All readers at once: a trial of each in turn."""
    readers = [ReaderPage(browser, room, name).begin() for name in READERS]
    for number in range(1, room.study.protocol.n_trials + 1):
        for reader in readers:
            reader.armed(number)
            for key in answer_of(reader):
                reader.page.keyboard.press(key)
    for reader in readers:
        reader.page.wait_for_selector("text=Thank you")
        reader.close()


def _study(path, design, **options):
    return make_disc_study(
        path / "study", design, readers=READERS, n_cases=N_CASES, size=SIZE, contrast_hu=CONTRAST_HU, n_training=0,
        break_every=0, seed=5, **options,
    )  # fmt: skip


def _exactly(key, statistic_of_trial):
    """What the observer says of the images themselves; shape `(n_arms, n_cases)`, as the results have it."""
    cases = list(dict.fromkeys(trial.case for trial in key.trials))
    found = np.empty((len(key.arms), len(cases)))
    for trial in key.trials:
        found[key.arms.index(trial.arm), cases.index(trial.case)] = statistic_of_trial(trial)
    return found


@pytest.mark.slow
def test_forced_choice_gives_the_observers_percent_correct(browser, tmp_path):
    """P(correct) = Φ(d'/√2) of the ideal observer lies in the readers' interval; by chance not in 1 of 1,000 tests."""

    def choose(reader):
        return [str(1 + int(np.argmax([_statistic(_seen(reader, slot)) for slot in range(2)])))]

    study = _study(tmp_path, "2afc")
    key = study.read_key()
    with served(study) as room:
        _read(browser, room, choose)
        answers = room.book.answers()
    results = results_of(study.protocol, key, answers)
    assert results.complete
    assert results.readers == READERS

    def is_right(trial):
        return np.argmax([_statistic(study.images[row].astype(float)) for row in trial.images]) == trial.present

    for index in range(len(READERS)):
        right = results.scores[:, index]
        # Grey levels of 0.8 HU change the odd choice between images that are alike.
        assert np.mean(right == _exactly(key, is_right)) >= 0.98
        found = binomtest(int(right.sum()), right.size).proportion_ci(1 - FALSE_ALARM)
        assert found.low < EXPECTED < found.high
    # Both saw the same trials, each in an order of their own, and decided alike.
    np.testing.assert_array_equal(results.scores[:, 0], results.scores[:, 1])
    orders = [[answer.trial for answer in answers if answer.reader == reader] for reader in READERS]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(2 * N_CASES))


@pytest.mark.slow
def test_ratings_give_the_observers_area(browser, tmp_path):
    """AUC = Φ(d'/√2) of the ideal observer lies in the readers' interval; by chance not in 1 of 1,000 tests."""

    def rate(reader):
        return [*str(_rating(_statistic(_seen(reader, 0)))), "Enter"]

    study = _study(tmp_path, "rating")
    key = study.read_key()
    with served(study) as room:
        _read(browser, room, rate)
        results = results_of(study.protocol, key, room.book.answers())
    assert results.complete
    present = results.signal_present
    for index in range(len(READERS)):
        ratings = results.scores[:, index]
        own = _exactly(key, lambda trial: _statistic(study.images[trial.images[0]].astype(float)))
        assert np.abs(ratings - np.vectorize(_rating)(own)).max() <= 1
        found = delong_interval(ratings[:, present].ravel(), ratings[:, ~present].ravel(), confidence=1 - FALSE_ALARM)
        assert found.ci_low < EXPECTED < found.ci_high
        assert found.value == pytest.approx(auc(own[:, present].ravel(), own[:, ~present].ravel()), abs=0.01)
