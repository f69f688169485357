"""The observer-feature loss: its formula in NumPy, and that its network has learned the task."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from taskct.errors import UserError
from taskct.training.losses.base import Batch
from taskct.training.losses.observer_feature import ObserverFeatureLoss

N = 240
PRESENT = torch.arange(N) % 2 == 0


def trials(contrast: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centre = torch.arange(12) - 5.5
    disc = contrast * ((centre[:, None] ** 2 + centre**2) < 5.0).float()
    reference = 40.0 + 10.0 * torch.randn(N, 12, 12, generator=generator) + PRESENT[:, None, None] * disc
    return reference + 4.0 * torch.randn(N, 12, 12, generator=generator), reference


def start(task: ObserverFeatureLoss, contrast: float) -> None:
    denoised, reference = trials(contrast)
    task.start(denoised, Batch(reference, PRESENT), seed=1)


@pytest.fixture(scope="module")
def started():
    task = ObserverFeatureLoss(n_channels=4, n_blocks=2, n_steps=60, batch_size=32)
    start(task, 10.0)
    return task.train()


def test_is_1_at_the_start_and_0_at_the_reference(started):
    denoised, reference = trials(10.0)
    assert float(started(denoised, Batch(reference, PRESENT))) == pytest.approx(1.0, rel=1e-5)
    assert float(started(reference, Batch(reference, PRESENT))) == 0.0


@pytest.mark.parametrize("block", [1, 2])
def test_in_numpy(started, block):
    denoised, reference = (images[:5] for images in trials(10.0))

    def features(images: torch.Tensor) -> np.ndarray:
        maps = ((images.double().numpy() - float(started.offset_hu)) / float(started.scale_hu))[:, None]
        for index in range(block):
            *_, convolution, normalization, _ = started.network.blocks[index]
            if index > 0:
                maps = maps.reshape(*maps.shape[:2], 3, 2, 3, 2).mean(axis=(3, 5))
            kernels = convolution.weight.double().numpy()
            maps = np.stack(
                [
                    [sum(correlate2d(m, k, "same") for m, k in zip(image, ks, strict=True)) for ks in kernels]
                    for image in maps
                ]
            )
            if index == 0:
                maps = maps[:, :, ::2, ::2]
            mean, variance = normalization.running_mean.double().numpy(), normalization.running_var.double().numpy()
            gain, shift = normalization.weight.double().numpy(), normalization.bias.double().numpy()
            maps = (maps - mean[:, None, None]) / np.sqrt(variance + normalization.eps)[:, None, None]
            maps = np.maximum(maps * gain[:, None, None] + shift[:, None, None], 0.0)
        return maps

    expected = np.mean((features(denoised) - features(reference)) ** 2)
    before, started.feature_block = started.feature_block, block
    try:
        value = float(started(denoised, Batch(reference, PRESENT[:5]))) * float(started.start_difference)
    finally:
        started.feature_block = before
    assert value == pytest.approx(expected, rel=1e-4)


def test_gradient(started):
    denoised, reference = (images[:2].double() for images in trials(10.0))
    task = ObserverFeatureLoss(n_channels=4, n_blocks=2)
    task.load_state_dict(started.state_dict())
    task.double().train()
    task._standardised = lambda image_hu: (image_hu - task.offset_hu) / task.scale_hu  # it casts to float32
    denoised.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: task(f, Batch(reference, PRESENT[:2])), (denoised,))


def test_the_network_has_learned_the_task_and_is_frozen(started):
    # The ideal d' is far above 3: a network that has learned is near 0, one that has not at 1 or above.
    assert float(started.held_out_bce) < 0.5
    assert not any(parameter.requires_grad for parameter in started.parameters())
    assert not any(module.training for module in started.network.modules())
    nothing = ObserverFeatureLoss(n_channels=4, n_blocks=2, n_steps=60, batch_size=32)
    start(nothing, 0.0)
    assert float(nothing.held_out_bce) > 0.9


def test_start_leaves_the_global_generator_and_works_without_gradients(started):
    state = torch.get_rng_state()
    again = ObserverFeatureLoss(n_channels=4, n_blocks=2, n_steps=60, batch_size=32)
    with torch.no_grad():
        start(again, 10.0)
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in started.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_errors():
    denoised, reference = trials(10.0)
    task = ObserverFeatureLoss(n_steps=20, n_channels=2, n_blocks=1)
    with pytest.raises(RuntimeError, match="call start first"):
        task(denoised, Batch(reference, PRESENT))
    with pytest.raises(UserError, match="nothing left to gain"):
        task.start(reference, Batch(reference, PRESENT), seed=0)
    with pytest.raises(UserError, match="7 trials of a class"):
        task.start(denoised, Batch(reference, torch.arange(N) < 7), seed=0)
    for setting in ({"n_blocks": 0}, {"n_steps": 19}, {"batch_size": 7}, {"n_channels": 1.5}):
        with pytest.raises(UserError, match="of the observer network is"):
            ObserverFeatureLoss(**setting)
    with pytest.raises(UserError, match="blocks 1 to 2"):
        ObserverFeatureLoss(n_blocks=2, feature_block=3)
