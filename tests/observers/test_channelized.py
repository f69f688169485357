"""The channelized Hotelling observer against closed forms and independent solutions."""

import numpy as np
import pytest
from scipy.linalg import orth
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from taskct.errors import UserError
from taskct.observers import SmallSampleWarning
from taskct.observers.channelized import ChannelizedHotelling, channel_outputs, split_aucs
from taskct.observers.channels import dense_dog, gabor, laguerre_gauss, sparse_dog

MAKE = {
    "lg": lambda shape: laguerre_gauss(shape, width_px=min(shape) / 5),
    "gabor": gabor,
    "sparse-dog": sparse_dog,
    "dense-dog": dense_dog,
}


def best_snr2(task, matrix):
    """SNR² of the best linear observer on the span of the channels, from the true mean and covariance."""
    basis = orth(matrix / np.linalg.norm(matrix, axis=0), rcond=1e-9)
    seen = basis.T @ task.signal.ravel()
    return float(seen @ np.linalg.solve(basis.T @ task.covariance @ basis, seen))


@pytest.mark.parametrize("kind", sorted(MAKE))
@pytest.mark.parametrize("task", ["white", "correlated"])
def test_reaches_the_closed_form_auc(request, task, kind):
    task = request.getfixturevalue(task)
    matrix = MAKE[kind](task.signal.shape)
    best = float(norm.cdf(np.sqrt(best_snr2(task, matrix) / 2.0)))
    observer = ChannelizedHotelling(channels=kind).fit(*task.draw(10_000, seed=1))
    # Finite training costs about p/N = 0.4 % of SNR², 0.0006 of AUC; eight times that is allowed.
    assert best - 0.005 < task.auc_of(observer.template_) <= best + 1e-9
    images, signal_present = task.draw(4_000, seed=2)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # The standard error of any AUC from 2,000 + 2,000 trials is below 0.0092; 4 of them: 1 in 16,000 a case.
    assert measured == pytest.approx(task.auc_of(observer.template_), abs=0.037)


def test_white_noise_needs_no_covariance(white):
    matrix = laguerre_gauss((8, 10), width_px=3.0, n_channels=4, centre=(3.0, 5.0))
    seen = matrix.T @ white.signal.ravel()
    snr2 = seen @ np.linalg.solve(matrix.T @ matrix, seen) / 400.0
    assert best_snr2(white, matrix) == pytest.approx(snr2, rel=1e-9)
    observer = ChannelizedHotelling(channels="lg", width_px=3.0, n_channels=4, centre=(3.0, 5.0))
    observer.fit(*white.draw(10_000, seed=3))
    np.testing.assert_array_equal(observer.channel_matrix_, matrix)
    assert white.auc_of(observer.template_) == pytest.approx(norm.cdf(np.sqrt(snr2 / 2.0)), abs=0.003)


@pytest.mark.parametrize("kind", ["pca", "pls"])
def test_all_learned_channels_are_the_hotelling_observer(correlated, kind):
    # 64 principal components span the image; PLS needs fewer to come as close.
    n_channels = {"pca": 64, "pls": 20}[kind]
    observer = ChannelizedHotelling(channels=kind, n_channels=n_channels).fit(*correlated.draw(20_000, seed=4))
    # Finite training costs about p/N = 0.3 % of SNR², 0.0005 of AUC; ten times that is allowed.
    assert correlated.ideal_auc - 0.005 < correlated.auc_of(observer.template_) <= correlated.ideal_auc + 1e-12


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
@pytest.mark.parametrize("kind", [*sorted(MAKE), "pca", "pls"])
def test_equals_an_explicit_solution(correlated, kind):
    images, _ = correlated.draw(120, seed=5)
    signal_present = np.arange(120) < 50  # classes of unequal size
    observer = ChannelizedHotelling(channels=kind).fit(images, signal_present)
    matrix = observer.channel_matrix_
    np.testing.assert_allclose(observer.template_.ravel(), matrix @ observer.channel_template_, atol=1e-7)
    basis = orth(matrix / np.linalg.norm(matrix, axis=0), rcond=1e-9)
    outputs = images.reshape(120, -1).astype(float) @ basis
    present, absent = outputs[:50], outputs[50:]
    covariance, difference = (np.cov(present.T) + np.cov(absent.T)) / 2.0, present.mean(0) - absent.mean(0)
    w = np.linalg.solve(covariance, difference)
    np.testing.assert_allclose(observer.template_.ravel(), basis @ w, rtol=1e-6, atol=1e-9)
    assert observer.snr_ == pytest.approx(np.sqrt(w @ difference), rel=1e-8)
    # The statistic is 0 halfway between the class means, which lie snr_² apart.
    statistic = observer.test_statistic(images)
    assert statistic[signal_present].mean() == pytest.approx(observer.snr_**2 / 2.0, rel=1e-6)
    assert statistic[~signal_present].mean() == pytest.approx(-(observer.snr_**2) / 2.0, rel=1e-6)


def test_ranks_trials_as_scikit_learn_does(correlated):
    images, signal_present = correlated.draw(400, seed=6)
    matrix = sparse_dog((8, 8))
    lda = LinearDiscriminantAnalysis().fit(channel_outputs(images, matrix), signal_present)
    unseen, _ = correlated.draw(300, seed=7)
    ours = ChannelizedHotelling(channels=matrix).fit(images, signal_present).test_statistic(unseen)
    assert np.corrcoef(ours, lda.decision_function(channel_outputs(unseen, matrix)))[0, 1] > 1.0 - 1e-12


@pytest.mark.parametrize("internal_noise", [0.5, 1.0, 3.0])
def test_internal_noise_divides_snr2(correlated, internal_noise):
    snr2 = best_snr2(correlated, MAKE["lg"]((8, 8))) / (1.0 + internal_noise**2)
    observer = ChannelizedHotelling(channels="lg", internal_noise=internal_noise).fit(*correlated.draw(10_000, seed=8))
    auc = correlated.auc_of(observer.template_, observer.internal_std_)
    # Finite training: as above. The variance that training saw is known to 1/√N = 1 %, worth 0.002 of AUC.
    assert auc == pytest.approx(norm.cdf(np.sqrt(snr2 / 2.0)), abs=0.005)
    images, signal_present = correlated.draw(4_000, seed=9)
    measured = roc_auc_score(signal_present, observer.test_statistic(images))
    # The standard error of any AUC from 2,000 + 2,000 trials is below 0.0092; 4 of them: 1 in 16,000 a case.
    assert measured == pytest.approx(auc, abs=0.037)


def test_internal_noise_has_its_own_seed(white):
    trials = white.draw(400, seed=10)
    first, second = (ChannelizedHotelling(internal_noise=2.0, seed=seed).fit(*trials) for seed in (0, 1))
    np.testing.assert_array_equal(first.template_, second.template_)
    images = np.zeros((4_000, 8, 10))
    noise = first.test_statistic(images) - second.test_statistic(images)
    # Two independent draws: variance 2. The standard error of a standard deviation is 1.1 %; 5 of them: 6e-7.
    assert noise.std() == pytest.approx(np.sqrt(2.0) * 2.0 * first.snr_, rel=0.056)


def test_what_adds_nothing_is_left_out(correlated):
    images, signal_present = correlated.draw(400, seed=11)
    # Pixels of an 8 × 8 image have 9 distances from its middle, so 10 channels that depend on it alone are 1 too many.
    observer = ChannelizedHotelling(channels="dense-dog").fit(images, signal_present)
    assert np.sum(observer.channel_template_ == 0.0) == 1


def test_scale_of_a_channel_changes_nothing(correlated):
    trials = correlated.draw(400, seed=12)
    matrix = dense_dog((8, 8))[:, 5:]
    expected = ChannelizedHotelling(channels=matrix).fit(*trials)
    scaled = ChannelizedHotelling(channels=matrix * 10.0 ** np.arange(-8, 2, 2)).fit(*trials)
    np.testing.assert_allclose(scaled.template_, expected.template_, rtol=1e-6)


def test_dependent_channels_are_named(correlated):
    trials = correlated.draw(400, seed=13)
    matrix = sparse_dog((8, 8))
    for added in (matrix[:, :1], np.zeros((64, 1)), matrix @ [[1.0], [-2.0], [0.5]]):
        with pytest.raises(UserError, match="only 3 of the 4 channels are linearly independent"):
            ChannelizedHotelling(channels=np.hstack([matrix, added])).fit(*trials)
    with pytest.raises(UserError, match="all channels are zero"):
        ChannelizedHotelling(channels=np.zeros((64, 2))).fit(*trials)


def test_outputs_that_do_not_vary_are_named(correlated):
    images, signal_present = correlated.draw(400, seed=14)
    images[:, 0] = 7.0
    matrix = np.zeros((64, 2))
    matrix[:8, 0] = matrix[20:40, 1] = 1.0
    with pytest.raises(UserError, match="covariance of 2 channels from 400 trials is singular"):
        ChannelizedHotelling(channels=matrix).fit(images, signal_present)


def test_more_channels_than_trials(correlated):
    with pytest.raises(UserError, match="40 channels need at least 42 training trials and there are 41"):
        ChannelizedHotelling(channels="gabor").fit(*correlated.draw(41, seed=15))
    with pytest.warns(SmallSampleWarning, match="42 training trials for 40 channels"):
        ChannelizedHotelling(channels="gabor").fit(*correlated.draw(42, seed=15))


def test_the_warning_stops_at_20_trials_for_each_channel(correlated):
    images, signal_present = correlated.draw(60, seed=16)
    ChannelizedHotelling(channels="sparse-dog").fit(images, signal_present)
    with pytest.warns(SmallSampleWarning, match="58 training trials for 3 channels"):
        ChannelizedHotelling(channels="sparse-dog").fit(images[:58], signal_present[:58])


def test_bad_settings(correlated):
    with pytest.raises(UserError, match="unknown channels 'wavelet'; give lg, gabor, sparse-dog, dense-dog, pca, pls"):
        ChannelizedHotelling(channels="wavelet")
    with pytest.raises(TypeError, match="width_px"):
        ChannelizedHotelling(channels="gabor", width_px=3.0)
    with pytest.raises(TypeError, match="centre"):
        ChannelizedHotelling(channels="pca", centre=(1.0, 2.0))
    with pytest.raises(TypeError, match="takes no settings"):
        ChannelizedHotelling(channels=np.eye(4), n_channels=2)
    with pytest.raises(UserError, match="width_px is -1"):
        ChannelizedHotelling(width_px=-1.0)
    with pytest.raises(UserError, match="internal_noise is -1"):
        ChannelizedHotelling(internal_noise=-1.0)
    for matrix in (np.ones(64), np.ones((64, 0)), np.full((64, 2), np.nan)):
        with pytest.raises(UserError, match="must be finite and of shape"):
            ChannelizedHotelling(channels=matrix)
    with pytest.raises(UserError, match="channels have 60 pixels but the images 64"):
        ChannelizedHotelling(channels=np.eye(60)[:, :2]).fit(*correlated.draw(60, seed=17))
    with pytest.raises(UserError, match="channels have 60 pixels but the images 64"):
        channel_outputs(correlated.draw(4, seed=17)[0], np.eye(60))


def gaussian_outputs(n_trials, n_channels, snr, seed):
    rng = np.random.default_rng(seed)
    signal_present = rng.permutation(n_trials) < n_trials // 2
    outputs = rng.standard_normal((n_trials, n_channels))
    outputs[:, 0] += snr * signal_present
    return outputs, signal_present


def test_splits_have_the_auc_of_gaussian_outputs():
    aucs = split_aucs(*gaussian_outputs(8_000, 5, 1.2, seed=18), n_splits=20, train_fraction=0.25)
    assert aucs.shape == (20,)
    # The test trials of all splits are nearly the whole sample, whose AUC of 0.80 has a standard error of 0.0049;
    # training on 2,000 costs 0.001. 4 standard errors: 1 in 16,000.
    assert aucs.mean() == pytest.approx(norm.cdf(1.2 / np.sqrt(2.0)), abs=0.021)


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
def test_splits_never_test_on_what_they_trained_on():
    # Noise alone, 40 channels from 100 trials: tested on themselves the AUC would be near 0.9.
    aucs = [split_aucs(*gaussian_outputs(200, 40, 0.0, seed=seed), n_splits=4).mean() for seed in range(40)]
    # One AUC of 50 + 50 trials has a standard error of 0.058, so their mean at most 0.0092; 4: 1 in 16,000.
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.037)


def test_splits_equal_fits_in_pixels(white):
    images, signal_present = white.draw(300, seed=19)
    matrix = sparse_dog((8, 10))
    (auc,) = split_aucs(channel_outputs(images, matrix), signal_present, n_splits=1, train_fraction=0.6, seed=3)
    rng = np.random.default_rng(3)
    classes = [rng.permutation(np.flatnonzero(members)) for members in (signal_present, ~signal_present)]
    train = np.concatenate([trials[:90] for trials in classes])
    test = np.concatenate([trials[90:] for trials in classes])
    observer = ChannelizedHotelling(channels="sparse-dog").fit(images[train], signal_present[train])
    expected = roc_auc_score(signal_present[test], observer.test_statistic(images[test]))
    assert auc == pytest.approx(expected, abs=1e-12)


def test_splits_of_bad_trials():
    outputs, signal_present = gaussian_outputs(40, 2, 1.0, seed=20)
    with pytest.raises(ValueError, match="wanted"):
        split_aucs(outputs, signal_present[1:])
    with pytest.raises(ValueError, match="wanted"):
        split_aucs(outputs, signal_present.astype(int))
    with pytest.raises(ValueError, match="not finite"):
        split_aucs(np.where(outputs > 1.0, np.nan, outputs), signal_present)
    with pytest.raises(UserError, match="n_splits is 0"):
        split_aucs(outputs, signal_present, n_splits=0)
    with pytest.raises(UserError, match=r"train_fraction is 1"):
        split_aucs(outputs, signal_present, train_fraction=1.0)
    with pytest.raises(UserError, match="40 signal-present and 0 signal-absent trials are too few"):
        split_aucs(outputs, np.ones(40, dtype=bool))
    with pytest.raises(UserError, match="20 channels need at least 22 training trials and there are 20"):
        split_aucs(np.tile(outputs, 10), signal_present)
    with pytest.warns(SmallSampleWarning, match="20 training trials for 2 channels"):
        split_aucs(outputs, signal_present)
