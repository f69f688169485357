"""The SLNN-NO, afresh against scikit-learn and a closed form, and as a head trained by gradient descent."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import binary_cross_entropy_with_logits

from taskct.errors import UserError
from taskct.observers import SLNN, SLNNHead
from taskct.observers.eye import eye_filter

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


def train(head: SLNNHead, images, signal_present, n_epochs: int = 15) -> None:
    """BCE alone, Adam, batches of 1,000, the learning rate falling to 0."""
    x, y = torch.from_numpy(images), torch.from_numpy(signal_present.astype(np.float32))
    generator = torch.Generator().manual_seed(0)
    n_batches = len(x) // 1_000
    optimiser = torch.optim.Adam(head.parameters(), lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_epochs * n_batches)
    head.train()
    for _ in range(n_epochs):
        for batch in torch.randperm(len(x), generator=generator).reshape(n_batches, 1_000):
            optimiser.zero_grad()
            binary_cross_entropy_with_logits(head(x[batch], generator), y[batch]).backward()
            optimiser.step()
            schedule.step()


def test_head_trained_by_bce_reaches_the_hotelling_auc(correlated):
    images, signal_present = correlated.draw(20_000, seed=6)
    head = SLNNHead((8, 8), offset_hu=images.mean(axis=0), scale_hu=float(images.std()))
    train(head, images, signal_present)
    auc = correlated.auc_of(head.template.detach().numpy())
    assert correlated.ideal_auc - 0.005 < auc <= correlated.ideal_auc + 1e-9


def test_eye_head_trained_by_bce_reaches_the_hotelling_auc_behind_the_eye(white):
    internal_noise_hu = 10.0
    response2 = eye_filter((8, 10), pixel_mm=0.7) ** 2
    spectrum2 = dctn(white.signal, norm="ortho") ** 2
    snr2 = np.sum(response2 * spectrum2 / (response2 * 400.0 + internal_noise_hu**2))
    best = float(norm.cdf(np.sqrt(snr2 / 2.0)))
    head = SLNNHead(
        (8, 10),
        kind="eye",
        offset_hu=40.0,
        scale_hu=20.0,
        pixel_mm=0.7,
        internal_noise_hu=internal_noise_hu,
    )
    train(head, *white.draw(20_000, seed=7))
    layer = head.layer.detach().numpy()
    auc = white.auc_of(head.template.detach().numpy(), internal_noise_hu * float(np.linalg.norm(layer)))
    assert best - 0.01 < auc <= best + 1e-9
    assert best < white.ideal_auc - 0.02  # so that a head that forgot the eye would be caught


@pytest.fixture(params=["pixel", "eye"])
def head(request):
    eye = {"pixel_mm": 0.7, "internal_noise_hu": 8.0} if request.param == "eye" else {}
    head = SLNNHead((8, 8), kind=request.param, offset_hu=40.0, scale_hu=25.0, **eye)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(1))
        head.bias.fill_(0.3)
    return head


@pytest.fixture
def images(correlated):
    return torch.from_numpy(correlated.draw(30, seed=8)[0])


def test_logit_is_linear_with_the_template(head, images):
    head.eval()
    template = head.template.detach()
    logits = head(images)
    assert logits.dtype == torch.float32
    expected = ((images - 40.0) * template).sum(dim=(1, 2)) + 0.3
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(head(images).sum(), images)
    torch.testing.assert_close(gradient, template.expand(30, 8, 8), rtol=1e-4, atol=1e-6)


def test_float32_under_autocast(head, images):
    head.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(images)
    torch.testing.assert_close(logits, head(images), rtol=0.0, atol=0.0)


def test_new_head_says_nothing(images):
    assert (SLNNHead((8, 8), offset_hu=40.0, scale_hu=25.0)(images) == 0.0).all()


def test_state_is_tensors_and_comes_back(head, images):
    state = head.state_dict()
    assert all(type(value) is torch.Tensor for value in state.values())
    eye = {"pixel_mm": 2.0, "internal_noise_hu": 1.0} if head.kind == "eye" else {}
    copy = SLNNHead((8, 8), kind=head.kind, **eye)
    copy.load_state_dict(state)
    first, second = (h.test_statistic(images, torch.Generator().manual_seed(3)) for h in (head, copy))
    np.testing.assert_array_equal(first, second)


def test_test_statistic_of_a_pixel_head_is_its_logit(correlated, images):
    head = SLNNHead((8, 8), offset_hu=40.0, scale_hu=25.0)
    train(head, *correlated.draw(1_000, seed=9), n_epochs=5)
    statistic = head.test_statistic(images.numpy())
    assert statistic.dtype == np.float64
    np.testing.assert_allclose(statistic, head(images).detach().numpy(), atol=1e-5)
    np.testing.assert_array_equal(statistic, head.test_statistic(images))


@pytest.mark.parametrize("head", ["eye"], indirect=True)
def test_internal_noise_is_the_same_in_training_and_in_the_test_statistic(head):
    blank = torch.full((8_000, 8, 8), 40.0)
    expected = 8.0 * float(head.layer.detach().norm())
    generator = torch.Generator().manual_seed(4)
    trained = head.train()(blank, generator).detach().numpy()
    tested = head.test_statistic(blank, generator)
    for statistic in (trained, tested):
        # Standard errors: 0.8 % of a standard deviation, 1.1 % of it for the mean; 5 of each: below 2e-6.
        assert statistic.std() == pytest.approx(expected, rel=0.04)
        assert statistic.mean() == pytest.approx(0.3, abs=0.056 * expected)
    np.testing.assert_array_equal(*(head.test_statistic(blank, torch.Generator().manual_seed(5)) for _ in range(2)))
    assert float(head.eval()(blank).detach().std()) == pytest.approx(0.0, abs=1e-5)


def test_head_errors(head, images):
    with pytest.raises(ValueError, match="takes images of shape"):
        head(images[:, None])
    with pytest.raises(ValueError, match="fitted on"):
        head.test_statistic(images[:, 1:])
    if head.kind == "eye":
        with pytest.raises(ValueError, match="needs a generator"):
            head.train()(images)
        with pytest.raises(ValueError, match="needs a generator"):
            head.test_statistic(images)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "ear"}, "'pixel' or 'eye'"),
        ({"scale_hu": 0.0}, "scale_hu is 0"),
        ({"kind": "eye"}, "needs pixel_mm"),
        ({"kind": "eye", "pixel_mm": 0.7, "internal_noise_hu": -1.0}, "internal_noise_hu is -1"),
        ({"internal_noise_hu": 5.0}, "leave it at 0"),
    ],
)
def test_head_settings(settings, message):
    with pytest.raises(UserError, match=message):
        SLNNHead((8, 8), **settings)
