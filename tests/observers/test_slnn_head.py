"""The SLNN-NO as a head trained by gradient descent, against closed forms; several heads against each alone."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from scipy.stats import norm
from torch.nn.functional import binary_cross_entropy_with_logits

from taskct.errors import UserError
from taskct.observers import GroupedHead, SLNNHead
from taskct.observers.channels import laguerre_gauss
from taskct.observers.eye import eye_filter

CHANNELS = laguerre_gauss((8, 8), width_px=4.0, n_channels=4, centre=(3.0, 4.0))


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


SETTINGS = {
    "pixel": {},
    "eye": {"pixel_mm": 0.7, "internal_noise_hu": 8.0},
    "channels": {"channel_matrix": CHANNELS, "internal_noise_hu": 8.0},
}


@pytest.fixture(params=sorted(SETTINGS))
def head(request):
    head = SLNNHead((8, 8), kind=request.param, offset_hu=40.0, scale_hu=25.0, **SETTINGS[request.param])
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(1))
        head.bias.fill_(0.3)
    return head


def test_channel_head_trained_by_bce_reaches_the_hotelling_auc_of_its_channels(correlated):
    internal_noise_hu = 10.0
    matrix = CHANNELS / np.linalg.norm(CHANNELS, axis=0)
    difference = matrix.T @ correlated.signal.ravel()
    outputs = matrix.T @ correlated.covariance @ matrix + internal_noise_hu**2 * np.eye(4)
    best = float(norm.cdf(np.sqrt(difference @ np.linalg.solve(outputs, difference) / 2.0)))
    images, signal_present = correlated.draw(20_000, seed=10)
    head = SLNNHead(
        (8, 8),
        kind="channels",
        channel_matrix=3.0 * CHANNELS,  # the scale of a channel means nothing
        internal_noise_hu=internal_noise_hu,
        offset_hu=images.mean(axis=0),
        scale_hu=float(images.std()),
    )
    train(head, images, signal_present)
    layer, template = head.layer.detach().numpy(), head.template.detach().numpy()
    np.testing.assert_allclose(template.ravel(), matrix @ layer, rtol=1e-4, atol=1e-7)
    auc = correlated.auc_of(template, internal_noise_hu * float(np.linalg.norm(layer)))
    # 20,000 trials for 4 weights: the loss of AUC is of the order of 4/20,000.
    assert best - 0.005 < auc <= best + 1e-9
    assert best < correlated.ideal_auc - 0.01  # so that a head that forgot channels or noise would be caught


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
    other = {"pixel": {}, "eye": {"pixel_mm": 2.0}, "channels": {"channel_matrix": np.ones((64, 4))}}
    copy = SLNNHead((8, 8), kind=head.kind, **other[head.kind])
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


@pytest.mark.parametrize("head", ["eye", "channels"], indirect=True)
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
    with pytest.raises(ValueError, match="internal noise has shape"):
        head(images, noise=torch.zeros(29, 8, 8))
    if head.kind != "pixel":
        with pytest.raises(ValueError, match="needs a generator"):
            head.train()(images)
        with pytest.raises(ValueError, match="needs a generator"):
            head.test_statistic(images)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "ear"}, "'pixel', 'eye' or 'channels'"),
        ({"kind": "channels"}, "channel_matrix is needed"),
        ({"channel_matrix": CHANNELS}, "for no other"),
        ({"kind": "channels", "channel_matrix": CHANNELS[:60]}, r"shape \(60, 4\) does not fit a region of 8 × 8"),
        ({"kind": "channels", "channel_matrix": CHANNELS * [1, 1, 0, 1]}, "channel 2 is zero"),
        ({"scale_hu": 0.0}, "scale_hu is 0"),
        ({"kind": "eye"}, "needs pixel_mm"),
        ({"kind": "eye", "pixel_mm": 0.7, "internal_noise_hu": -1.0}, "internal_noise_hu is -1"),
        ({"internal_noise_hu": 5.0}, "leave it at 0"),
    ],
)
def test_head_settings(settings, message):
    with pytest.raises(UserError, match=message):
        SLNNHead((8, 8), **settings)


def test_given_noise_is_added_to_what_the_layer_sees(head, images):
    shape = head.noise_shape(30)
    if head.kind == "pixel":
        assert shape is None
        return
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(11))
    quiet = head.eval()(images)
    expected = quiet + 8.0 * torch.einsum("n...,...->n", noise, head.layer)
    for mode in (True, False):
        torch.testing.assert_close(head.train(mode)(images, noise=noise), expected, rtol=1e-4, atol=1e-4)
    drawn = head.train()(images, torch.Generator().manual_seed(11))
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def grouped(head):
    """Three heads like `head`, with weights of their own."""
    heads = [
        SLNNHead((8, 8), kind=head.kind, offset_hu=30.0 + k, scale_hu=20.0, **SETTINGS[head.kind]) for k in range(3)
    ]
    generator = torch.Generator().manual_seed(12)
    with torch.no_grad():
        for single in heads:
            single.weight.normal_(generator=generator)
            single.bias.normal_(generator=generator)
    return GroupedHead(heads)


GROUP = torch.arange(30) % 3


def test_each_trial_goes_to_the_head_of_its_group(grouped, images):
    shape = grouped.noise_shape(30)
    noise = None if shape is None else torch.randn(shape, generator=torch.Generator().manual_seed(13))
    logits = grouped(images, GROUP, noise=noise)
    assert grouped.template.shape == (3, 8, 8)
    for k, single in enumerate(grouped.members):
        alone = single(images[k::3], noise=None if noise is None else noise[k::3])
        torch.testing.assert_close(logits[k::3], alone, rtol=1e-4, atol=1e-4)
    # The weights of a group learn from its own trials alone.
    gradient = torch.autograd.grad(logits[0::3].sum(), [single.weight for single in grouped.members])
    assert float(gradient[0].abs().max()) > 0.0
    assert all(float(other.abs().max()) == 0.0 for other in gradient[1:])


def test_test_statistic_of_several_heads(grouped, images):
    statistic = grouped.test_statistic(images.numpy(), GROUP, torch.Generator().manual_seed(14))
    generator = torch.Generator().manual_seed(14)
    for k, single in enumerate(grouped.members):
        np.testing.assert_array_equal(statistic[k::3], single.test_statistic(images[k::3], generator))


@pytest.mark.parametrize("head", ["pixel"], indirect=True)
def test_errors_of_several_heads(grouped, images):
    for group in (GROUP[:-1], GROUP.float()):
        with pytest.raises(ValueError, match=r"int64 of shape \(30,\)"):
            grouped(images, group)
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match="3 heads serve 0 to 2"):
            grouped(images, torch.full((30,), wrong))
    for heads in ([], [SLNNHead((8, 8)), SLNNHead((8, 7))]):
        with pytest.raises(UserError, match="do not work as one"):
            GroupedHead(heads)
