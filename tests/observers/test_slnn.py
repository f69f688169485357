"""The SLNN-NO fitted afresh, against scikit-learn and a closed form."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from taskct.errors import UserError
from taskct.observers import SLNN

pytestmark = pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")  # few trials on purpose


@pytest.mark.parametrize("n_trials", [40, 64, 65, 300])
@pytest.mark.parametrize("weight_decay", [1e-3, 0.1])
def test_equals_scikit_learn(correlated, n_trials, weight_decay):
    images, _ = correlated.draw(n_trials, seed=1)
    signal_present = np.arange(n_trials) < n_trials // 3
    pixels = images.reshape(n_trials, -1).astype(float)
    scale = (pixels - pixels.mean(0)).std()
    # scikit-learn minimises C Σ BCE + ½ ‖w‖².
    other = LogisticRegression(C=1.0 / (n_trials * weight_decay), tol=1e-9, max_iter=20_000)
    other.fit((pixels - pixels.mean(0)) / scale, signal_present)
    observer = SLNN(weight_decay=weight_decay).fit(images, signal_present)
    expected = other.coef_[0] / scale
    np.testing.assert_allclose(observer.template_.ravel(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    unseen = correlated.draw(20, seed=2)[0]
    logits = other.decision_function((unseen.reshape(20, -1) - pixels.mean(0)) / scale)
    np.testing.assert_allclose(observer.test_statistic(unseen), logits, rtol=1e-3, atol=1e-3)


def test_gradient_is_zero_at_the_solution(correlated):
    images, signal_present = correlated.draw(50, seed=3)
    for weight_decay in (1e-6, 1e-2):
        observer = SLNN(weight_decay=weight_decay).fit(images, signal_present)
        pixels = images.reshape(50, -1).astype(float)
        x = (pixels - pixels.mean(0)) / (pixels - pixels.mean(0)).std()
        w = observer.template_.ravel() * (pixels - pixels.mean(0)).std()
        residual = 1.0 / (1.0 + np.exp(-observer.test_statistic(images))) - signal_present
        np.testing.assert_allclose(x.T @ residual / 50, -weight_decay * w, atol=1e-8)
        assert residual.sum() == pytest.approx(0.0, abs=1e-7)


def test_reaches_the_hotelling_auc(correlated):
    # For Gaussian classes of equal covariance the best linear observer is the Hotelling observer.
    observer = SLNN(weight_decay=1e-7).fit(*correlated.draw(20_000, seed=4))
    auc = correlated.auc_of(observer.template_)
    assert correlated.ideal_auc - 0.005 < auc <= correlated.ideal_auc + 1e-12


def test_weight_decay_must_be_above_0(correlated):
    with pytest.raises(UserError, match="weight_decay is 0"):
        SLNN(weight_decay=0.0).fit(*correlated.draw(50, seed=5))
