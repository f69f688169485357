"""The choice of a regularisation, step by step against what it says it does."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from taskct.errors import UserError
from taskct.observers.base import SmallSampleWarning, TrainingTrials
from taskct.observers.choice import RANKS, RIDGES, WEIGHT_DECAYS, default_values, fit_chosen, hold_out
from taskct.observers.hotelling import Hotelling, HotellingEye, HotellingSVD
from taskct.observers.slnn import SLNN

OBSERVERS = [Hotelling(), HotellingEye(pixel_mm=0.7, internal_noise_hu=5.0), HotellingSVD(rank=2), SLNN()]
few = pytest.mark.filterwarnings("ignore::taskct.observers.base.SmallSampleWarning")


@few
@pytest.mark.parametrize("n_trials", [70, 80, 300])  # fewer than 64 pixels fitted on, fewer in part, and more
@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda o: type(o).__name__)
def test_held_out(correlated, observer, n_trials):
    images, signal_present = correlated.draw(n_trials, seed=1)
    values = [1, 3, 12]
    chosen = fit_chosen(observer, images, signal_present, values=values, seed=5)
    held = hold_out(signal_present, 0.25, seed=5)
    path = observer.fit_path(images[~held], signal_present[~held], values)
    areas = [roc_auc_score(signal_present[held], one.test_statistic(images[held])) for one in path]
    assert list(chosen.validation_auc) == values
    np.testing.assert_allclose(list(chosen.validation_auc.values()), areas, atol=1e-9)
    assert chosen.validation_auc[chosen.value] == max(chosen.validation_auc.values())
    assert getattr(chosen.observer, observer.path_parameter) == chosen.value
    refitted = observer.fit_path(images, signal_present, [chosen.value])[0]
    np.testing.assert_allclose(chosen.observer.template_, refitted.template_, rtol=1e-6, atol=1e-10)
    assert chosen.observer.offset_ == pytest.approx(refitted.offset_, rel=1e-6)
    assert not hasattr(observer, "template_")


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda o: type(o).__name__)
def test_validation_trials_given(correlated, observer):
    images, signal_present = correlated.draw(200, seed=2)
    unseen, truth = correlated.draw(101, seed=3)
    values = [1, 3, 12]
    chosen = fit_chosen(observer, images, signal_present, validation=(unseen, truth), values=values)
    path = observer.fit_path(images, signal_present, values)
    areas = [roc_auc_score(truth, one.test_statistic(unseen)) for one in path]
    np.testing.assert_allclose([chosen.validation_auc[value] for value in values], areas, atol=1e-9)
    fitted = path[values.index(chosen.value)]
    np.testing.assert_allclose(chosen.observer.template_, fitted.template_, rtol=1e-9)


@few
def test_of_equal_values_the_strongest_regularisation(correlated):
    images, signal_present = correlated.draw(60, seed=4)
    bright = images + 1000.0 * signal_present[:, None, None]  # nobody can miss it
    for observer, values, strongest in (
        (Hotelling(), [0.1, 10.0, 1.0], 10.0),
        (SLNN(), [0.1, 10.0, 1.0], 10.0),
        (HotellingSVD(), [5, 2, 3], 2),
    ):
        chosen = fit_chosen(observer, bright, signal_present, values=values)
        assert set(chosen.validation_auc.values()) == {1.0}
        assert chosen.value == strongest
        assert chosen.at_edge


def test_constant_statistics_are_ties(correlated):
    # No validation trial differs from another, so every AUC is 1/2.
    images, signal_present = correlated.draw(200, seed=5)
    validation = np.zeros((10, 8, 8)), np.arange(10) < 5
    chosen = fit_chosen(Hotelling(), images, signal_present, validation=validation, values=[0.1, 1.0])
    assert chosen.validation_auc == {0.1: 0.5, 1.0: 0.5}


def test_edge(correlated):
    trials, validation = correlated.draw(400, seed=6), correlated.draw(4_000, seed=7)
    # In this task a ridge of 1e6, which leaves the NPW observer, and of 1e-9, which overfits, both lose.
    inner = fit_chosen(Hotelling(), *trials, validation=validation, values=[1e-9, 0.1, 1e6])
    assert inner.value == 0.1
    assert not inner.at_edge
    outer = fit_chosen(Hotelling(), *trials, validation=validation, values=[0.1, 1e6])
    assert outer.value == 0.1
    assert outer.at_edge
    assert not fit_chosen(Hotelling(), *trials, validation=validation, values=[0.1]).at_edge


def test_hold_out_is_stratified_and_seeded():
    truth = np.arange(50) < 10
    held = hold_out(truth, 0.3, seed=0)
    assert held[truth].sum() == 3
    assert held[~truth].sum() == 12
    np.testing.assert_array_equal(held, hold_out(truth, 0.3, seed=0))
    assert (held != hold_out(truth, 0.3, seed=1)).any()
    for fraction in (0.01, 0.99):
        small = hold_out(np.arange(8) < 4, fraction, seed=0)
        assert small[:4].sum() == small[4:].sum() == 2


def test_default_values(correlated):
    assert default_values(Hotelling(), 100, 64) is RIDGES
    assert default_values(SLNN(), 100, 64) is WEIGHT_DECAYS
    for n_trials, n_pixels, largest in ((22, 64, 20), (500, 64, 50), (500, 4096, 200)):
        assert default_values(HotellingSVD(), n_trials, n_pixels) == [rank for rank in RANKS if rank <= largest]
    chosen = fit_chosen(HotellingSVD(), *correlated.draw(400, seed=8))
    assert max(chosen.validation_auc) == 50


def test_one_warning_for_one_choice(correlated):
    with pytest.warns(SmallSampleWarning) as caught:
        fit_chosen(Hotelling(), *correlated.draw(60, seed=9), values=[0.1, 1.0])
    assert len(caught) == 1
    assert "60 training trials" in str(caught[0].message)
    fit_chosen(Hotelling(), *correlated.draw(70, seed=9), values=[0.1, 1.0])  # 53 are fitted on first, then all


def test_errors(correlated):
    images, signal_present = correlated.draw(100, seed=10)
    with pytest.raises(UserError, match="no value to choose from"):
        fit_chosen(Hotelling(), images, signal_present, values=[])
    with pytest.raises(UserError, match="ridge is -1"):
        fit_chosen(Hotelling(), images, signal_present, values=[-1.0])
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(UserError, match="validation_fraction is"):
            fit_chosen(Hotelling(), images, signal_present, validation_fraction=fraction)
    with pytest.raises(UserError, match="at least 4 training trials of each class"):
        fit_chosen(Hotelling(), images, np.arange(100) < 2)
    with pytest.raises(ValueError, match="bool of shape"):
        fit_chosen(Hotelling(), images, signal_present, validation=(images, signal_present[1:]))
    with pytest.raises(UserError, match="2 or more of each class"):
        fit_chosen(Hotelling(), images, signal_present, validation=(images, np.ones(100, dtype=bool)))
    with pytest.raises(ValueError, match="fitted on"):
        fit_chosen(Hotelling(), images, signal_present, validation=(images[:, 1:], signal_present))
    with pytest.raises(ValueError, match="2 trials of each class"):
        fit_chosen(Hotelling(), images, np.zeros(100, dtype=bool))


def test_ranks_end_where_the_images_end():
    rng = np.random.default_rng(0)
    images, signal_present = rng.normal(size=(300, 8, 8)), np.arange(300) % 2 == 0
    images[:, :2] = 5.0  # 16 constant pixels leave a rank of 48
    assert max(fit_chosen(HotellingSVD(), images, signal_present).validation_auc) <= 48


@few
@pytest.mark.parametrize("n_trials", [50, 300])  # fewer and more than pixels
@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda o: type(o).__name__)
def test_shared_trials_give_what_their_own_give(correlated, observer, n_trials):
    images, signal_present = correlated.draw(n_trials, seed=11)
    validation = correlated.draw(101, seed=12)
    shared = TrainingTrials.of(images, signal_present)
    fit_chosen(Hotelling(), shared, validation=validation, values=[0.3])  # leaves what it worked out
    together = fit_chosen(observer, shared, validation=validation, values=[1, 3, 12])
    alone = fit_chosen(observer, images, signal_present, validation=validation, values=[1, 3, 12])
    assert (together.value, together.validation_auc) == (alone.value, alone.validation_auc)
    np.testing.assert_allclose(together.observer.template_, alone.observer.template_, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="leave signal_present out"):
        fit_chosen(observer, shared, signal_present)
    with pytest.raises(ValueError, match="signal_present is missing"):
        fit_chosen(observer, images)


def rank_one(n_trials):
    """Images that are multiples of one pattern, and a signal in it."""
    rng = np.random.default_rng(0)
    pattern, signal_present = rng.normal(size=(8, 8)), np.arange(n_trials) % 2 == 0
    return (rng.normal(size=n_trials) + 1.5 * signal_present)[:, None, None] * pattern, signal_present


@few
@pytest.mark.parametrize("n_trials", [40, 400])  # fewer trials than pixels, and more
@pytest.mark.parametrize("values", [None, [1, 2, 20], [20, 50]])
def test_ranks_are_capped_by_the_rank_of_the_trials(n_trials, values):
    images, signal_present = rank_one(n_trials)
    chosen = fit_chosen(HotellingSVD(), images, signal_present, values=values)
    assert chosen.value == 1
    assert list(chosen.validation_auc) == [1]
    assert not chosen.at_edge
    assert 20 in chosen.left_out
    assert chosen.note.startswith("rank 2")
    assert chosen.note.endswith("was left out of the choice: these trials allow 1 at most")
    # One pattern is all that there is, so the template is its multiple and the statistic ranks as the multiples do.
    pattern = images[0] / np.linalg.norm(images[0])
    template = chosen.observer.template_
    assert abs(np.vdot(template, pattern)) / np.linalg.norm(template) == pytest.approx(1.0, abs=1e-9)
    multiples = np.einsum("nij,ij->n", images, pattern)
    statistic = chosen.observer.test_statistic(images)
    np.testing.assert_array_equal(np.argsort(statistic), np.argsort(np.sign(np.vdot(template, pattern)) * multiples))


@few
@pytest.mark.parametrize(
    ("observer", "values", "lost"),
    [
        (Hotelling(), [0.0, 0.1], 0.0),
        (Hotelling(), [1e-320, 0.1], 1e-320),
        (HotellingEye(pixel_mm=0.7, internal_noise_hu=0.0), [0.0, 0.1], 0.0),
        (SLNN(), [0.0, 0.1], 0.0),
        (SLNN(), [1e-320, 0.1], 1e-320),
        (HotellingSVD(), [3, 2.5], 2.5),
    ],
    ids=repr,
)
def test_a_value_that_the_trials_do_not_allow_is_left_out(correlated, observer, values, lost):
    images, signal_present = correlated.draw(60, seed=13)
    chosen = fit_chosen(observer, images, signal_present, values=values)
    (kept,) = (value for value in values if value != lost)
    assert chosen.value == kept
    assert list(chosen.left_out) == [lost]
    assert f"{observer.path_parameter} {lost:g} was left out" in chosen.note
    assert not chosen.at_edge
    alone = fit_chosen(observer, images, signal_present, values=[kept])
    assert alone.note == ""
    np.testing.assert_array_equal(chosen.observer.template_, alone.observer.template_)
    with pytest.raises(UserError) as caught:
        fit_chosen(observer, images, signal_present, values=[lost])
    assert "\n" not in str(caught.value)


@few
def test_a_value_given_twice_counts_once(correlated):
    images, signal_present = correlated.draw(100, seed=14)
    twice = fit_chosen(Hotelling(), images, signal_present, values=[0.1, 0.1])
    assert list(twice.validation_auc) == [0.1]
    assert not twice.at_edge


@few
def test_statistics_that_are_not_finite_decide_nothing(correlated, monkeypatch):
    images, signal_present = correlated.draw(100, seed=15)
    validation = correlated.draw(60, seed=16)

    def broken(self, images):
        return statistic(self, images) if self.ridge == 1.0 else np.full(len(images), np.nan)

    statistic = Hotelling._statistic
    monkeypatch.setattr(Hotelling, "_statistic", broken)
    chosen = fit_chosen(Hotelling(), images, signal_present, validation=validation, values=[0.1, 1.0, 10.0])
    assert chosen.value == 1.0
    assert list(chosen.left_out) == [0.1, 10.0]
    with pytest.raises(UserError, match=r"no ridge of 0\.1, 10 gives finite"):
        fit_chosen(Hotelling(), images, signal_present, validation=validation, values=[0.1, 10.0])


def test_what_no_value_mends_is_said_as_it_is(correlated):
    images, signal_present = correlated.draw(100, seed=17)
    for observer in (Hotelling(), HotellingSVD()):
        alike = np.where(signal_present[:, None, None], images[0], images[1])
        with pytest.raises(UserError, match="all alike"):
            fit_chosen(observer, alike, signal_present)
        with pytest.raises(UserError, match="all training images are the same"):
            fit_chosen(observer, np.repeat(images[:1], 100, axis=0), signal_present)
