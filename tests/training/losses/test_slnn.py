"""The SLNN's cross-entropy against NumPy, and how its head starts."""

import math

import numpy as np
import pytest
import torch

from taskct.errors import UserError
from taskct.observers import SLNN, GroupedHead, SLNNHead
from taskct.observers.channels import laguerre_gauss
from taskct.observers.eye import apply_eye_filter
from taskct.training.losses.base import Batch
from taskct.training.losses.slnn import SLNNLoss, start_head

pytestmark = pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")  # few trials on purpose

CHANNELS = laguerre_gauss((6, 6), width_px=3.0, n_channels=3)
SETTINGS = {
    "pixel": {},
    "eye": {"pixel_mm": 0.7, "internal_noise_hu": 3.0},
    "channels": {"channel_matrix": CHANNELS, "internal_noise_hu": 3.0},
}


def head_of(kind: str, seed: int = 0) -> SLNNHead:
    head = SLNNHead((6, 6), kind=kind, offset_hu=40.0, scale_hu=10.0, **SETTINGS[kind])
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(seed))
        head.bias.fill_(0.2)
    return head


@pytest.fixture
def trials():
    rng = np.random.default_rng(0)
    present = rng.random(60) < 0.5
    images = 40.0 + 10.0 * rng.standard_normal((60, 6, 6)) + 4.0 * present[:, None, None]
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(present)


@pytest.mark.parametrize("kind", sorted(SETTINGS))
def test_cross_entropy_in_numpy(kind, trials):
    images, present = trials
    head = head_of(kind)
    task = SLNNLoss(head).train()
    shape = task.noise_shape(60)
    noise = None if shape is None else torch.randn(shape, generator=torch.Generator().manual_seed(1))
    value = task(images, Batch(images, present, noise=noise))

    layer = head.weight.detach().double().numpy() / (10.0 * math.sqrt(head.weight.numel()))
    centred = images.double().numpy() - 40.0
    if kind == "eye":
        seen = np.asarray(apply_eye_filter(centred, head.response.double().numpy())) + 3.0 * noise.double().numpy()
    elif kind == "channels":
        seen = centred.reshape(60, -1) @ (CHANNELS / np.linalg.norm(CHANNELS, axis=0)) + 3.0 * noise.double().numpy()
    else:
        seen = centred
    logits = seen.reshape(60, -1) @ layer.ravel() + 0.2
    probability = 1.0 / (1.0 + np.exp(-logits))
    expected = -np.where(present.numpy(), np.log2(probability), np.log2(1.0 - probability)).mean()
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)


def test_a_head_that_knows_nothing_is_at_1(trials):
    head = SLNNHead((6, 6), offset_hu=40.0, scale_hu=10.0)
    assert float(SLNNLoss(head, training="joint")(trials[0], Batch(*trials)).detach()) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["pixel", "eye"])
def test_starts_as_the_slnn_of_what_it_sees(kind, trials):
    images, present = trials
    head = head_of(kind)
    start_head(head, images.numpy(), present.numpy(), weight_decay=0.5)
    seen = images.numpy() - 40.0
    if kind == "eye":
        seen = np.asarray(apply_eye_filter(seen, head.response.numpy()))
    slnn = SLNN(weight_decay=0.5).fit(seen, present.numpy())
    np.testing.assert_allclose(head.layer.detach().numpy(), slnn.template_, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(head.eval()(images).detach().numpy(), slnn.test_statistic(seen), rtol=1e-3, atol=1e-4)


def test_orthonormal_channels_of_every_pixel_start_as_pixels_do(trials):
    images, present = trials
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((36, 36)))[0]
    channels = SLNNHead((6, 6), kind="channels", channel_matrix=basis, offset_hu=40.0, scale_hu=10.0)
    pixels = head_of("pixel")
    for head in (channels, pixels):
        start_head(head, images.numpy(), present.numpy())
    torch.testing.assert_close(channels.template, pixels.template, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(channels.bias, pixels.bias, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("training", "starts", "learns"), [("warm", 1, 1), ("joint", 0, 1), ("frozen", 1, 0)])
def test_how_a_head_is_trained(training, starts, learns, trials):
    images, present = trials
    head = head_of("pixel")
    before = head.weight.detach().clone()
    task = SLNNLoss(head, training=training).train()
    task.start(images, Batch(images, present), seed=0)
    assert torch.equal(before, head.weight) != bool(starts)
    images.requires_grad_()
    task.shared(images, Batch(images.detach(), present), 0.5).backward()
    assert (head.weight.grad is not None) == bool(learns)
    assert float(images.grad.abs().max()) > 0.0
    with pytest.raises(UserError, match="'warm', 'joint' or 'frozen'"):
        SLNNLoss(head, training="cold")


def test_several_heads_start_each_on_its_own_trials(trials):
    images, present = trials
    group = torch.arange(60) % 2
    task = SLNNLoss(GroupedHead([head_of("pixel", seed) for seed in range(2)]))
    task.start(images, Batch(images, present, group=group), seed=0)
    for k, head in enumerate(task.head.members):
        alone = head_of("pixel", 9)
        start_head(alone, images[group == k].numpy(), present[group == k].numpy())
        torch.testing.assert_close(head.weight, alone.weight)
    with pytest.raises(ValueError, match="need the group"):
        task(images, Batch(images, present))
    with pytest.raises(UserError, match=r"group 1: an observer needs at least 2 trials of each class"):
        task.start(images, Batch(images, present, group=torch.zeros(60, dtype=torch.int64)), seed=0)
