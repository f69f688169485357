"""The CNN observer against ideal observers in closed form, and the laws of its fit."""

import copy

import numpy as np
import pytest
import torch

from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observers import Hotelling, SmallSampleWarning
from taskct.observers.cnn import CNNObserver
from validation.ideal_observers import coloured_task, draw_variances, white_task


def measured_auc(observer, images, present):
    statistic = observer.test_statistic(images)
    return auc(statistic[present], statistic[~present])


@pytest.fixture(scope="module")
def variances():
    """A network that was fitted where the means say nothing, and its trials."""
    trials = draw_variances(4_000, seed=1, n_pixels=12)
    return CNNObserver(n_steps=400).fit(*trials), trials


@pytest.mark.parametrize("make_task", [white_task, coloured_task])
def test_reaches_the_ideal_auc_for_a_known_signal_in_gaussian_noise(make_task):
    task = make_task()
    observer = CNNObserver(seed=2).fit(*task.draw(10_000, seed=1))
    # 0.01 that the observer may fall short, and 4.5 standard errors (0.0026) of 20,000 test trials. An observer with a
    # true loss of 0.005, which is what comes of 10,000 training trials, fails with probability below 1e-9.
    assert abs(measured_auc(observer, *task.draw(20_000, seed=2)) - task.ideal_auc) < 0.01 + 0.012


def test_beats_the_hotelling_observer_where_the_ideal_decision_is_not_linear(variances):
    observer, trials = variances
    images, present = draw_variances(10_000, seed=2, n_pixels=12)
    # Ideal 0.9, standard error 0.003; a linear observer has 0.5 with standard error 0.006, 5 of them: below 1e-6.
    assert 0.86 < measured_auc(observer, images, present) < 0.915
    assert abs(measured_auc(Hotelling().fit(*trials), images, present) - 0.5) < 0.03
    assert observer.network_ is not None
    assert observer.note_.startswith("network on the linear start")
    assert observer.validation_bce_ < observer.start_bce_ - 0.1


def test_beats_the_hotelling_observer_for_a_signal_of_either_sign():
    task = white_task(ideal_auc=0.98)
    trials = task.draw(6_000, seed=3, random_sign=True)
    images, present = task.draw(10_000, seed=4, random_sign=True)
    ideal = task.random_sign_statistic(images)
    network, linear = CNNObserver(n_steps=500).fit(*trials), Hotelling().fit(*trials)
    # Paired with the ideal on the same trials; the network may lose 0.03, chance moves that by 0.002.
    difference = auc(ideal[present], ideal[~present]) - measured_auc(network, images, present)
    assert -0.01 < difference < 0.03
    assert abs(measured_auc(linear, images, present) - 0.5) < 0.03  # 5 standard errors


def test_logit_is_calibrated(variances):
    images, present = draw_variances(10_000, seed=5, n_pixels=12)
    probability = 1.0 / (1.0 + np.exp(-variances[0].test_statistic(images)))
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (probability >= low) & (probability < low + 0.25)
        # About 1,500 trials in each quarter: standard error 0.013; 0.05 more for what training leaves.
        assert abs(present[inside].mean() - probability[inside].mean()) < 0.05 + 0.06


def test_noise_alone_keeps_the_linear_start():
    rng = np.random.default_rng(6)
    images, present = rng.normal(40.0, 20.0, (600, 10, 10)), np.arange(600) % 2 == 0
    observer = CNNObserver(n_steps=200).fit(images, present)
    assert observer.network_ is None
    assert observer.note_.startswith("linear start alone")
    assert observer.validation_bce_ == observer.start_bce_
    expected = np.einsum("nij,ij->n", images, observer.template_) + observer.offset_
    np.testing.assert_allclose(observer.test_statistic(images), expected, rtol=1e-12)
    # Of the linear start nothing is kept but a logit near 0: what it promises is what it knows.
    assert observer.test_statistic(images).std() < 0.5


def test_order_unit_and_zero_do_not_matter_to_a_network(variances):
    _, (images, present) = variances
    # On a grid of 1/16 HU every sum and multiple here is exact in float32.
    images, present = np.round(16 * images[:1500]) / 16, present[:1500]
    unseen = np.round(16 * draw_variances(200, seed=7, n_pixels=12)[0]) / 16
    settings = {"n_steps": 100, "learning_rate": 5e-3}
    first = CNNObserver(**settings).fit(images, present)
    expected = first.test_statistic(unseen)
    assert first.network_ is not None
    order = np.random.default_rng(8).permutation(1500)
    np.testing.assert_array_equal(
        CNNObserver(**settings).fit(images[order], present[order]).test_statistic(unseen), expected
    )
    np.testing.assert_array_equal(CNNObserver(**settings).fit(4 * images, present).test_statistic(4 * unseen), expected)
    moved = CNNObserver(**settings).fit(images + 256, present).test_statistic(unseen + 256)
    np.testing.assert_allclose(moved, expected, atol=0.02 * expected.std())  # training magnifies rounding
    other = CNNObserver(**settings, seed=1).fit(images, present).test_statistic(unseen)
    assert np.abs(other - expected).max() > 0.02 * expected.std()


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (9, 8), (33, 5)])
def test_any_shape_of_region(shape):
    rng = np.random.default_rng(9)
    present = np.arange(300) % 2 == 0
    images = rng.normal(size=(300, *shape)) * np.where(present, 3.0, 1.0)[:, None, None]
    observer = CNNObserver(n_steps=60, n_channels=4).fit(images, present)
    assert observer.test_statistic(images[:5]).shape == (5,)
    assert observer.test_statistic(images[:0]).shape == (0,)


def test_few_trials_leave_the_linear_start(white):
    with pytest.warns(SmallSampleWarning, match="12 training trials for 80 pixels"):
        observer = CNNObserver().fit(*white.draw(12, seed=1))
    assert "6 trials of a class are too few" in observer.note_
    assert np.isnan(observer.validation_bce_)
    with pytest.warns(SmallSampleWarning):
        ridge = Hotelling(ridge=1.0).fit(*white.draw(12, seed=1))
    np.testing.assert_allclose(observer.template_, ridge.template_, rtol=1e-9)


def test_progress_and_random_state(white):
    import torch

    seen = []
    torch.manual_seed(3)
    state = torch.get_rng_state()
    CNNObserver(n_steps=100, progress=lambda *told: seen.append(told)).fit(*white.draw(200, seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert [done for done, _, _ in seen] == sorted({done for done, _, _ in seen})
    assert seen[-1][:2] == (100, 100)
    assert seen[0][2].startswith("validation BCE 0.")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_steps": 10}, "n_steps is 10"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1"),
        ({"n_channels": 0}, "n_channels is 0"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(UserError, match=message):
        CNNObserver(**settings)


def test_the_logit_is_the_gain_times_the_linear_one_and_what_the_network_adds(variances):
    observer, (images, _) = copy.deepcopy(variances[0]), variances[1]
    linear = np.einsum("nij,ij->n", images[:50].astype(float), observer.template_) + observer.offset_
    before = observer.test_statistic(images[:50])
    with torch.no_grad():
        observer.network_.gain += 1.0
    np.testing.assert_allclose(observer.test_statistic(images[:50]) - before, linear, atol=1e-4)


def test_the_logit_knows_how_often_signals_come():
    # Three absent trials for each present one, and nothing to see: the mean logit is that of the prevalence.
    rng = np.random.default_rng(7)
    images, present = rng.normal(0.0, 20.0, (800, 8, 8)), np.arange(800) % 4 == 0
    logit = CNNObserver(n_steps=100).fit(images, present).test_statistic(rng.normal(0.0, 20.0, (2_000, 8, 8)))
    assert np.mean(1.0 / (1.0 + np.exp(-logit))) == pytest.approx(0.25, abs=0.05)
