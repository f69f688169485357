"""Learning curves against simulation, closed forms, and DeLong's interval where nothing is learned."""

import numpy as np
import pytest
from scipy.stats import norm

from taskct.errors import UserError
from taskct.metrics.clustered import Clusters
from taskct.metrics.roc import auc, delong_covariance, delong_interval, paired_delong, structural_components
from taskct.observers import Hotelling, LinearObserver, SmallSampleWarning
from taskct.observers.channelized import ChannelizedHotelling
from taskct.observers.learning import LabelledTrials, learning_curve, learning_difference
from taskct.observers.learning_law import expected_auc


class FixedTemplate(LinearObserver):
    """Learns nothing: the first pixel."""

    def _learn(self, images, signal_present):
        self.template_, self.offset_ = np.zeros(images.shape[1:]), 0.0
        self.template_.flat[0] = 1.0


def draw(rng, n_trials, n_pixels, snr):
    """White noise of 1, a signal in the first pixel, classes in turn."""
    images = rng.normal(size=(n_trials, n_pixels, 1))
    signal_present = np.arange(n_trials) % 2 == 0
    images[signal_present, 0] += snr
    return images, signal_present


@pytest.mark.parametrize(
    ("snr", "n_trials", "n_weights"),
    [
        (1.0, 4, 1),
        (2.0, 12, 2),
        (1.0, 8, 3),
        (2.0, 12, 10),
        (1.0, 22, 10),
        (3.0, 100, 10),
        (1.5, 80, 40),
        (1.5, 400, 40),
    ],
)
def test_expected_auc_is_the_mean_over_training_sets(snr, n_trials, n_weights):
    rng = np.random.default_rng(1)
    areas = np.empty(1500 if n_weights < 40 else 300)
    for i in range(len(areas)):
        images, truth = draw(rng, n_trials, n_weights, snr)
        x = images[..., 0]
        covariance = np.atleast_2d(np.cov(x[truth].T)) + np.atleast_2d(np.cov(x[~truth].T))
        template = np.linalg.solve(covariance, x[truth].mean(axis=0) - x[~truth].mean(axis=0))
        areas[i] = norm.cdf(snr * template[0] / np.linalg.norm(template) / np.sqrt(2.0))
    # 5 standard errors, false alarm 6e-7, and the quadrature's own error.
    quadrature = 2e-3 if n_weights == 2 else 2e-4
    assert abs(areas.mean() - expected_auc(snr, n_trials, n_weights)) < 5 * areas.std() / len(areas) ** 0.5 + quadrature


def test_expected_auc_has_its_limits():
    ideal = norm.cdf(1.5 / np.sqrt(2.0))
    assert expected_auc(1.5, 2_000_000, 20) == pytest.approx(ideal, abs=1e-5)
    assert expected_auc(0.0, 100, 20) == pytest.approx(0.5, abs=1e-9)
    curve = [expected_auc(1.5, n, 20) for n in (22, 30, 50, 100, 1000)]
    assert (np.diff([0.5, *curve, ideal]) > 0).all()
    # To first order in 1/n, from the derivative of Φ(SNR/√2): each of the 19 directions costs alike.
    n = 20_000
    loss = norm.pdf(1.5 / np.sqrt(2.0)) * 1.5 / np.sqrt(2.0) / 2 * 19 / n * (1 + 4 / 1.5**2)
    assert ideal - expected_auc(1.5, n, 20) == pytest.approx(loss, rel=0.01)
    for wrong in ((-1.0, 100, 20), (1.0, 101, 20), (1.0, 20, 20), (1.0, 100, 0)):
        with pytest.raises(ValueError, match="n_weights"):
            expected_auc(*wrong)


@pytest.mark.filterwarnings("error")  # an observer's own warning is replaced by the curve's message
def test_curve_follows_theory_from_few_trials_to_many():
    snr, p = 1.5, 10
    rng = np.random.default_rng(2)
    test = draw(rng, 4000, p, snr)
    curve = learning_curve(
        Hotelling(ridge=0.0), *draw(rng, 2000, p, snr), sizes=[12, 24, 100, 50, 400], n_repeats=30, test=test, seed=3
    )
    np.testing.assert_array_equal(curve.n_trials, [12, 24, 50, 100, 400])
    assert curve.auc.shape == (5, 30)
    np.testing.assert_allclose(curve.mean, curve.auc.mean(axis=1), rtol=1e-12)
    # DeLong's variance of the test trials, at most A(1 − A)/2000, and the spread of the repeats; 4 standard errors of
    # five correlated values, false alarm below 3e-4.
    for size, mean, repeats in zip(curve.n_trials, curve.mean, curve.auc, strict=True):
        tolerance = 4 * np.sqrt(mean * (1 - mean) / 2000 + repeats.var() / 30)
        assert abs(mean - expected_auc(snr, int(size), p)) < tolerance
    assert (curve.ci_low < curve.mean).all()
    assert (curve.mean < curve.ci_high).all()


@pytest.mark.parametrize(("snr", "share"), [(1.5, 0.5), (1.0, 0.25)])
def test_asymptote_is_found_at_the_right_rate(snr, share):
    p, n_studies = 10, 100
    truth = norm.cdf(snr / np.sqrt(2.0))
    found = []
    for seed in range(n_studies):
        rng = np.random.default_rng(seed)
        images, signal_present = draw(rng, 1200, p, snr)
        keep = np.ones(1200, dtype=bool)
        keep[np.flatnonzero(signal_present)[int(1200 * share / (2 - 2 * share)) :]] = share == 0.5
        curve = learning_curve(
            Hotelling(ridge=0.0),
            images[keep],
            signal_present[keep],
            test=draw(rng, 600, p, snr),
            n_repeats=5,
            seed=seed,
        )
        found.append((curve.asymptote.auc, curve.asymptote.ci_low, curve.asymptote.ci_high))
    value, low, high = np.transpose(found)
    # At 95 % fewer than 86 of 100 have probability 3e-4. The mean at 4 standard errors, false alarm 6e-5, and what
    # the model neglects.
    assert np.mean((low <= truth) & (truth <= high)) >= 0.86
    assert abs(value.mean() - truth) < 4 * value.std() / np.sqrt(n_studies) + 0.001
    assert (high - low).mean() < 2 * 3.92 * value.std()  # not by being useless


def test_channels_are_the_weights_of_a_channelized_observer(correlated):
    pool, test = correlated.draw(800, seed=4), correlated.draw(3000, seed=5)
    observer = ChannelizedHotelling(channels=np.random.default_rng(6).normal(size=(64, 6)))
    curve = learning_curve(observer, *pool, test=test, seed=7)
    u, signal = observer.channels, correlated.signal.ravel()
    snr2 = (signal @ u) @ np.linalg.solve(u.T @ correlated.covariance @ u, u.T @ signal)
    assert curve.asymptote is not None
    assert not curve.small_sample
    assert curve.asymptote.n_weights <= 6.0
    assert curve.asymptote.ci_low < norm.cdf(np.sqrt(snr2 / 2)) < curve.asymptote.ci_high  # one in 20 seeds fails


def test_where_nothing_is_learned_the_interval_is_delongs():
    rng = np.random.default_rng(8)
    test = draw(rng, 500, 3, 1.0)
    curve = learning_curve(FixedTemplate(), *draw(rng, 400, 3, 1.0), test=test, n_repeats=3, seed=9)
    rating = test[0][:, 0, 0]
    expected = delong_interval(rating[test[1]], rating[~test[1]])
    for ours, theirs in (
        (curve.mean, expected.value),
        (curve.ci_low, expected.ci_low),
        (curve.ci_high, expected.ci_high),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert curve.asymptote.auc == pytest.approx(expected.value, abs=1e-4)
    assert curve.asymptote.ci_low == pytest.approx(expected.ci_low, abs=2e-3)  # probit against logit scale
    assert curve.asymptote.ci_high == pytest.approx(expected.ci_high, abs=2e-3)
    assert not curve.small_sample
    assert curve.message.endswith("enough")


def test_five_images_are_not_taken_for_an_auc(correlated):
    """A public toolbox returns an AUC of 0.32 from 5 + 5 images, and says nothing."""
    images, signal_present = correlated.draw(10, seed=12)
    with pytest.warns(SmallSampleWarning, match="10 training trials for 64 pixels"):
        observer = Hotelling().fit(images, signal_present)
    unseen, truth = correlated.draw(10, seed=1012)  # seeds at which chance gives just that AUC
    statistic = observer.test_statistic(unseen)
    assert auc(statistic[truth], statistic[~truth]) == pytest.approx(0.32)
    assert correlated.auc_of(observer.template_) > 0.55
    curve = learning_curve(Hotelling(), images, signal_present, test=(unseen, truth), seed=0)
    assert curve.small_sample
    assert curve.asymptote is None
    assert "10 training trials for 64 weights: too few to say what more would bring" in curve.message
    assert "3 sizes of 128 or more; give 256 training trials" in curve.message
    assert curve.ci_low[-1] < correlated.auc_of(observer.template_) < curve.ci_high[-1]
    alone = learning_curve(Hotelling(), images, signal_present, seed=0)  # half of them for testing
    assert alone.small_sample
    np.testing.assert_array_equal(alone.n_trials, [4, 5])


def test_still_learning_is_said():
    rng = np.random.default_rng(10)
    curve = learning_curve(Hotelling(ridge=0.0), *draw(rng, 300, 40, 1.5), test=draw(rng, 3000, 40, 1.5), seed=0)
    np.testing.assert_array_equal(curve.n_trials, [53, 75, 106, 150, 212, 300])  # the covariance of 37 is singular
    assert curve.small_sample
    assert curve.message.endswith("still learning")
    assert curve.asymptote.auc > curve.mean[-1] + 0.01


def test_the_trials_the_message_asks_for_are_enough(correlated):
    test = correlated.draw(400, seed=16)
    for n_trials, known in ((250, False), (256, True)):
        curve = learning_curve(Hotelling(ridge=0.0), *correlated.draw(n_trials, seed=17), test=test, seed=0)
        assert (curve.asymptote is not None) == known
        assert curve.small_sample


def test_no_signal_and_perfect_separation_have_no_asymptote():
    rng = np.random.default_rng(11)
    guessing = learning_curve(Hotelling(), *draw(rng, 400, 4, 0.0), seed=0)
    assert guessing.asymptote is None
    assert "not told from guessing" in guessing.message
    perfect = learning_curve(Hotelling(), *draw(rng, 80, 2, 50.0), seed=0)
    assert perfect.asymptote is None
    assert "no pair of test trials is ordered wrongly" in perfect.message
    np.testing.assert_allclose(perfect.ci_low, 0.025 ** (1 / 20))
    assert (perfect.ci_high == 1.0).all()


def test_draws_are_stratified_without_replacement_and_repeatable(white):
    seen = []

    class Recorder(FixedTemplate):
        def _learn(self, images, signal_present):
            seen.append((images, signal_present))
            super()._learn(images, signal_present)

    images, signal_present = white.draw(60, seed=12)
    images, signal_present = images[:45], np.arange(45) < 15
    test = white.draw(40, seed=13)
    recorder = Recorder()
    first = learning_curve(recorder, images, signal_present, sizes=[9, 30, 45], n_repeats=2, test=test, seed=1)
    assert not hasattr(recorder, "template_")
    assert [(len(x), int(y.sum())) for x, y in seen] == [(45, 15)] * 2 + [(30, 10)] * 2 + [(9, 3)] * 2
    assert all(len(np.unique(x[:, 0, 0])) == len(x) for x, _ in seen)
    assert not np.array_equal(seen[2][0], seen[3][0])
    again = learning_curve(Recorder, images, signal_present, sizes=[9, 30, 45], n_repeats=2, test=test, seed=1)
    np.testing.assert_array_equal(first.auc, again.auc)


def test_bad_input(white):
    images, signal_present = white.draw(40, seed=14)
    test = white.draw(20, seed=15)
    with pytest.raises(UserError, match="from 4 to the 40 trials"):
        learning_curve(Hotelling(), images, signal_present, sizes=[20, 41], test=test, seed=0)
    with pytest.raises(UserError, match=r"sets of \[2\] trials"):
        learning_curve(Hotelling(), images, signal_present, sizes=[2], test=test, seed=0)
    with pytest.raises(UserError, match="is singular"):
        learning_curve(Hotelling(ridge=0.0), images, signal_present, test=test, seed=0)
    with pytest.raises(UserError, match="n_repeats is 1"):
        learning_curve(Hotelling(), images, signal_present, n_repeats=1, seed=0)
    with pytest.raises(ValueError, match="confidence is 95"):
        learning_curve(Hotelling(), images, signal_present, confidence=95, seed=0)
    with pytest.raises(ValueError, match="at least 2 trials of each class"):
        learning_curve(Hotelling(), images, np.ones(40, dtype=bool), seed=0)
    with pytest.raises(ValueError, match="at least 2 trials of each class"):
        learning_curve(Hotelling(), images[:6], signal_present[:6], seed=0)
    with pytest.raises(ValueError, match="not finite"):
        learning_curve(Hotelling(), images, signal_present, test=(test[0] * np.nan, test[1]), seed=0)


def in_cases(rng, n_cases, per_case, n_pixels, snr):
    """As `draw`, but half the noise is that of the case, which holds trials of one class."""
    present = np.arange(n_cases) % 2 == 0
    shared = rng.normal(size=(n_cases, n_pixels, 1))
    cases = np.repeat(np.arange(n_cases), per_case)
    images = (shared[cases] + rng.normal(size=(len(cases), n_pixels, 1))) / np.sqrt(2.0)
    images[present[cases], 0] += snr
    return LabelledTrials(images, present[cases], cases)


def test_whole_cases_are_drawn_with_their_share_of_each_class():
    rng = np.random.default_rng(0)
    pool = in_cases(rng, 40, 5, 2, 1.0)
    for n in (20, 50, 100, 200):
        drawn = pool.draw(rng, n)
        counts = np.bincount(pool.cases[drawn], minlength=40)
        assert set(counts) <= {0, 5}
        assert drawn.sum() == n
        assert pool.signal_present[drawn].mean() == 0.5
    assert pool.independent_share == pytest.approx(0.2)
    assert LabelledTrials(pool.images, pool.signal_present).independent_share == 1.0


@pytest.mark.parametrize("both", [False, True])
def test_covariance_by_cases_is_that_of_the_clustered_analysis(both):
    rng = np.random.default_rng(1)
    trials = in_cases(rng, 30, 4, 1, 1.0)
    if both:
        trials = LabelledTrials(trials.images, rng.permutation(trials.signal_present), trials.cases)
    t = rng.normal(size=(3, 120)) + rng.normal(size=(3, 30))[:, trials.cases]
    p, a = trials.signal_present, ~trials.signal_present
    found = trials.covariance(*structural_components(t[:, p], t[:, a]))
    wanted = delong_covariance(t[:, p], t[:, a], Clusters.of(trials.cases[p], trials.cases[a]))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    single = LabelledTrials(trials.images, trials.signal_present)
    np.testing.assert_allclose(
        single.covariance(*structural_components(t[:, p], t[:, a])), delong_covariance(t[:, p], t[:, a]), rtol=1e-12
    )


def test_where_nothing_is_learned_the_curve_with_cases_has_the_clustered_interval():
    rng = np.random.default_rng(3)
    pool, test = in_cases(rng, 20, 4, 2, 1.0), in_cases(rng, 40, 6, 2, 1.0)
    curve = learning_curve(FixedTemplate(), pool.images, pool.signal_present, cases=pool.cases, test=test, seed=0)
    t, p = test.images[:, 0, 0], test.signal_present
    wanted = delong_interval(t[p], t[~p], Clusters.of(test.cases[p], test.cases[~p]))
    np.testing.assert_allclose(curve.mean, wanted.value)
    np.testing.assert_allclose(curve.ci_low, wanted.ci_low, rtol=1e-9)
    np.testing.assert_allclose(curve.ci_high, wanted.ci_high, rtol=1e-9)
    assert (np.diff(curve.n_trials) > 0).all()


def test_a_difference_has_both_curves_and_the_paired_interval():
    rng = np.random.default_rng(4)
    pool, test = (LabelledTrials(*draw(rng, n, 3, 1.0)) for n in (60, 200))
    pools = [pool, LabelledTrials(pool.images + rng.normal(size=pool.images.shape), pool.signal_present)]
    tests = [test, LabelledTrials(test.images + rng.normal(size=test.images.shape), test.signal_present)]
    found = learning_difference([FixedTemplate()] * 2, pools, tests, seed=0)
    p = test.signal_present
    t = np.stack([one.images[:, 0, 0] for one in tests])
    wanted = paired_delong(t[:, p], t[:, ~p])
    np.testing.assert_allclose(found.mean, wanted.delta_auc)
    np.testing.assert_allclose(found.ci_low, wanted.ci_low)
    np.testing.assert_allclose(found.ci_high, wanted.ci_high)
    np.testing.assert_allclose(found.first.mean - found.second.mean, found.mean)
    alone = learning_curve(FixedTemplate(), *draw(rng, 60, 3, 1.0), test=test, seed=0)
    np.testing.assert_allclose(found.first.ci_low, alone.ci_low)


def test_a_difference_of_learned_observers_moves_as_theory_says():
    # White noise of 1 and of 2: what is learned costs the noisier images more, so the difference falls with training.
    rng = np.random.default_rng(5)
    p, snr = 10, 2.0
    pool, test = (LabelledTrials(*draw(rng, n, p, snr)) for n in (400, 6000))
    noisier = [
        LabelledTrials(one.images + rng.normal(size=one.images.shape) * np.sqrt(3.0), one.signal_present)
        for one in (pool, test)
    ]
    found = learning_difference(
        [Hotelling(ridge=0.0)] * 2, [pool, noisier[0]], [test, noisier[1]], sizes=[24, 100, 400], seed=1
    )
    wanted = [expected_auc(snr, n, p) - expected_auc(snr / 2.0, n, p) for n in (24, 100, 400)]
    error = (found.ci_high - found.ci_low) / 3.92
    assert (np.abs(found.mean - wanted) < 4 * error).all()  # 1 in 5,000
    assert (found.ci_low >= -1.0).all()
    assert "with 24 training trials" in found.message
