"""Answers held against the truth: forced choice, ratings, places, and what is missing."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.metrics.froc import FigureOfMerit, figures_of_merit
from taskct.metrics.lroc import lroc_area
from taskct.metrics.mrmc import analyze
from taskct.reading_room.answer import Answer, Mark
from taskct.reading_room.key import Key, KeyTrial, Lesion
from taskct.reading_room.placed import marks_of
from taskct.reading_room.protocol import Display, Protocol
from taskct.reading_room.results import results_of

ARMS = ("low-dose", "mse")
READERS = ("Ann", "Bo", "Cleo")


def protocol(design, scale, n_trials):
    return Protocol(
        "0123456789ab", "Discs", design, scale, n_trials, 0, 0, 32, 32, 0.5, Display(0.0, 400.0, True), (), "Where?"
    )


def answer(reader, trial, **said):
    return Answer(reader, "reading", trial, trial, 2.5, "2026-01-01T00:00:00Z", **said)


def pairs(n_cases):
    """Trials of two arms with two images each; the signal is in the second of odd cases."""
    trials = []
    for m, arm in enumerate(ARMS):
        for c in range(n_cases):
            first = 2 * (m * n_cases + c)
            trials.append(KeyTrial(arm, f"set-{c}", (first, first + 1), c % 2, group="5 mm" if c < 4 else "8 mm"))
    return Key(tuple(trials), ARMS)


def test_forced_choice_is_right_where_the_signal_was_picked():
    n, key, rng = 12, pairs(12), np.random.default_rng(0)
    right = rng.random((2, 3, n)) < 0.7
    answers = []
    for m, r, c in np.ndindex(right.shape):
        trial = key.trials[m * n + c]
        slot = trial.present if right[m, r, c] else 1 - trial.present
        answers.append(answer(READERS[r], m * n + c, choice=trial.images[slot]))
    rng.shuffle(answers)
    answers.append(Answer("Ann", "training", 0, 0, 1.0, "2026-01-01T00:00:00Z", choice=0))
    found = results_of(protocol("2afc", 0, 2 * n), key, answers)
    order = [found.readers.index(name) for name in READERS]
    np.testing.assert_array_equal(found.scores[:, order], right)
    assert found.complete
    assert {name: index.tolist() for name, index in found.by_group().items()} == {
        "5 mm": [0, 1, 2, 3],
        "8 mm": list(range(4, n)),
    }
    assert found.clusters is None
    as_ratings = found.choices_as_ratings()
    areas = analyze(as_ratings)
    for name, correct in zip(ARMS, right, strict=True):
        assert areas.modalities[name].auc == pytest.approx(correct.mean(), abs=1e-12)


def rated(design, n=10):
    lesion = Lesion(16.0, 16.0, 4.0)
    trials = [
        KeyTrial(
            arm, f"case-{c}", (m * n + c,), 0 if c < n // 2 else None, (lesion,) if c < n // 2 else (), f"b{c % 7}"
        )
        for m, arm in enumerate(ARMS)
        for c in range(n)
    ]
    return protocol(design, 101, 2 * n), Key(tuple(trials), ARMS, radius_mm=2.0)


def test_places_count_only_on_the_signal():
    """A mark at 4 pixels, which are 2 mm, hits; one at 4.1 does not. The LROC area is that of the marks that hit."""
    p, key = rated("locate")
    rng = np.random.default_rng(1)
    scores, on = rng.integers(0, 101, size=20), rng.random(20) < 0.6
    answers = [
        answer("Ann", t, rating=int(scores[t]), marks=(Mark(16.0, 20.0 if on[t] else 20.1, int(scores[t])),))
        for t in range(20)
    ]
    found, marks = results_of(p, key, answers), marks_of(p, key, answers)
    assert marks_of(p, key, answers[::-1]).modalities == marks.modalities == ARMS
    areas = figures_of_merit(marks, FigureOfMerit("lroc")).values
    for m in range(2):
        own = slice(10 * m, 10 * m + 5), slice(10 * m + 5, 10 * m + 10)
        wanted = lroc_area(scores[own[0]].astype(float), scores[own[1]].astype(float), on[own[0]])
        assert areas[m, 0] == pytest.approx(wanted, abs=1e-12)
    assert found.clusters.tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]


def test_what_nobody_answered_is_missing():
    p, key = rated("rating")
    found = results_of(p, key, [answer("Bo", t, rating=t) for t in range(13)])
    assert found.readers == ("Bo",)
    assert np.isnan(found.scores).sum() == 7
    assert not found.complete
    assert found.n_answered("Bo") == 13


def test_what_is_refused():
    p, key = rated("rating")
    with pytest.raises(UserError, match="nobody has answered"):
        results_of(p, key, [])
    with pytest.raises(UserError, match="another study"):
        results_of(p, key, [answer("Bo", 99, rating=1)])
    with pytest.raises(UserError, match="no confidence"):
        results_of(p, key, [answer("Bo", 1)])
    with pytest.raises(UserError, match="another one"):
        results_of(protocol("2afc", 0, 24), pairs(12), [answer("Bo", 1, choice=77)])
