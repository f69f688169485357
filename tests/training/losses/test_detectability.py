"""The detectability loss against closed forms for Gaussian channel outputs, and that descending it helps."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from taskct.errors import UserError
from taskct.training.losses.base import Batch
from taskct.training.losses.detectability import DetectabilityLoss, detectability2
from taskct.training.losses.moments import ClassMoments

RNG = np.random.default_rng(0)
SIDE, N_CHANNELS = 4, 3
CHANNELS = RNG.standard_normal((SIDE * SIDE, N_CHANNELS))
UNIT = CHANNELS / np.linalg.norm(CHANNELS, axis=0)
ROOTS = [RNG.standard_normal((16, 16)) + 2.0 * np.eye(16) for _ in range(2)]  # a covariance for each class
SIGNAL = 3.0 * RNG.standard_normal(16)


def draw(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    present = np.arange(n) % 2 == 0
    noise = rng.standard_normal((n, 16))
    pixels = np.where(present[:, None], noise @ ROOTS[1].T + SIGNAL, noise @ ROOTS[0].T) + 40.0
    return torch.from_numpy(pixels.reshape(n, SIDE, SIDE)), torch.from_numpy(present)


def closed_form(internal_noise_hu: float, template: np.ndarray = UNIT) -> float:
    covariance = 0.5 * template.T @ (ROOTS[0] @ ROOTS[0].T + ROOTS[1] @ ROOTS[1].T) @ template
    difference = template.T @ SIGNAL
    s = covariance + internal_noise_hu**2 * np.eye(template.shape[1])
    return float(difference @ np.linalg.solve(s, difference))


@pytest.mark.parametrize("internal_noise_hu", [0.0, 2.0])
def test_equals_the_closed_form_as_n_grows(internal_noise_hu):
    task = DetectabilityLoss((SIDE, SIDE), CHANNELS, internal_noise_hu=internal_noise_hu, ridge=0.0, memory=0).train()
    expected = 2.0 * norm.cdf(-math.sqrt(closed_form(internal_noise_hu) / 2.0))
    errors = []
    for n in (200, 200_000):
        images, present = draw(n, seed=1)
        errors.append(abs(float(task(images, Batch(images, present))) - expected))
    # The standard error of the loss is about 1/√n: 0.002 at 200,000 trials, of which 4.5 are allowed (7e-6).
    assert errors[1] < 0.01
    assert 0.1 < expected < 0.9


def test_of_one_batch_in_numpy():
    images, present = draw(60, seed=2)
    task = DetectabilityLoss((SIDE, SIDE), CHANNELS, internal_noise_hu=1.5, ridge=0.1, memory=0).train()
    value = task(images, Batch(images, present))
    outputs = images.numpy().reshape(60, -1) @ UNIT
    classes = [outputs[~present.numpy()], outputs[present.numpy()]]
    mean_covariance = sum(np.cov(outputs.T) for outputs in classes) / 2.0
    s = mean_covariance + 0.1 * np.diag(np.diag(mean_covariance)) + 1.5**2 * np.eye(N_CHANNELS)
    difference = classes[1].mean(axis=0) - classes[0].mean(axis=0)
    d = math.sqrt(difference @ np.linalg.inv(s) @ difference)
    assert float(value) == pytest.approx(2.0 * norm.cdf(-d / math.sqrt(2.0)), rel=1e-9)


def test_gradient_of_a_batch_alone():
    images, present = draw(14, seed=3)
    task = DetectabilityLoss((SIDE, SIDE), CHANNELS, internal_noise_hu=0.5, memory=0).train()
    images.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: task(f, Batch(f.detach(), present)), (images,))


def test_remembered_and_new_trials_are_as_one_batch():
    features, present = draw(90, seed=4)
    features = features.flatten(1)[:, :3]
    moments = ClassMoments(3, memory=1000).train()
    for part in (slice(0, 40), slice(40, 41), slice(41, 90)):
        mean, covariance = moments(features[part], present[part], least=(0, 0))
    for index, members in enumerate((~present, present)):
        mine = features[members].numpy()
        np.testing.assert_allclose(mean[index], mine.mean(axis=0), rtol=1e-12)
        # About the running means, not about the last: unbiased, and equal to 1/n.
        np.testing.assert_allclose(covariance[index], np.cov(mine.T), rtol=0.1, atol=0.1 * np.abs(np.cov(mine.T)).max())


def test_covariances_are_unbiased():
    moments, means = ClassMoments(200, memory=50), []
    generator = torch.Generator().manual_seed(5)
    present = torch.arange(6) % 2 == 0
    for _ in range(20):
        moments.n_seen.zero_()
        for _ in range(3):
            _, covariance = moments(torch.randn(6, 200, dtype=torch.float64, generator=generator), present)
        means.append(float(covariance.diagonal(dim1=1, dim2=2).mean()))
    # Each of 8,000 variances is of 9 trials, so its standard deviation is √(2/8): 0.0056 for their mean, of which 5 are
    # allowed (6e-7). Divided by n in place of n − 1 it would be 1/9 too low.
    assert np.mean(means) == pytest.approx(1.0, abs=0.028)


def test_the_gradient_is_that_of_all_trials():
    """With remembered trials the gradient into the batch's mean is the loss's slope in the class mean."""
    features, present = draw(400, seed=6)
    features = features.flatten(1)[:, :3]
    moments = ClassMoments(3, memory=10_000).train()
    moments.remember(features[:380], present[:380])
    batch = features[380:].clone().requires_grad_()
    mean, covariance = moments(batch, present[380:])
    (of_mean,) = torch.autograd.grad(mean[1, 0], batch, retain_graph=True)
    expected = torch.zeros(20, 3, dtype=torch.float64)
    expected[present[380:], 0] = 1.0 / 10
    torch.testing.assert_close(of_mean, expected)
    (of_variance,) = torch.autograd.grad(covariance[1, 0, 0], batch)
    expected = torch.zeros(20, 3, dtype=torch.float64)
    expected[:, 0] = torch.where(present[380:], 2.0 * (batch[:, 0] - mean[1, 0]) / 10 / (1 - 1 / 200), 0.0).detach()
    torch.testing.assert_close(of_variance, expected)


def test_a_remembered_past_keeps_small_batches_from_being_flattered():
    """Labels by chance: the true d² is 0, and a batch alone sees much where there is nothing."""
    values = {}
    for memory in (0, 500):
        task = DetectabilityLoss((SIDE, SIDE), CHANNELS, memory=memory).train()
        images, _ = draw(1000, seed=7)
        present = torch.rand(1000, generator=torch.Generator().manual_seed(8)) < 0.5
        images = images - images.mean(dim=0)
        task.start(images, Batch(images, present), seed=0)
        with torch.enable_grad():
            values[memory] = [
                float(task(images[k : k + 20], Batch(images[k : k + 20], present[k : k + 20])))
                for k in range(0, 400, 20)
            ]
    assert np.mean(values[0]) < 0.7  # d² of about 2p/n = 0.6 and more
    assert np.mean(values[500]) > 0.88


def test_descending_raises_the_true_detectability_of_a_linear_denoiser():
    matrix = torch.eye(16, dtype=torch.float64).requires_grad_()
    task = DetectabilityLoss((SIDE, SIDE), CHANNELS, internal_noise_hu=0.5, memory=200).train()
    optimizer = torch.optim.Adam([matrix], lr=0.01)

    def true_d2() -> float:
        return closed_form(0.5, matrix.detach().numpy().T @ UNIT)

    before = true_d2()
    images, present = draw(4000, seed=9)
    task.start(images, Batch(images, present), seed=0)
    for step in range(100):
        index = slice(40 * step, 40 * step + 40)
        f = (images[index].flatten(1) @ matrix.T).reshape(-1, SIDE, SIDE)
        value = task(f, Batch(images[index], present[index]))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    best = closed_form(0.0, np.eye(16))  # of the Hotelling observer on every pixel
    assert true_d2() > 1.5 * before
    assert true_d2() <= best


def test_errors():
    images, present = draw(40, seed=10)
    with pytest.raises(UserError, match=r"shape \(15, 3\) does not fit a region of 4 × 4"):
        DetectabilityLoss((SIDE, SIDE), CHANNELS[:15])
    with pytest.raises(UserError, match="internal_noise_hu is -1"):
        DetectabilityLoss((SIDE, SIDE), CHANNELS, internal_noise_hu=-1.0)
    task = DetectabilityLoss((SIDE, SIDE), CHANNELS, memory=0).train()
    with pytest.raises(ValueError, match="the channels have 16 pixels"):
        task(images[:, 1:], Batch(images[:, 1:], present))
    with pytest.raises(UserError, match="the denoiser has collapsed"):
        task(torch.full_like(images, 40.0), Batch(images, present))
    repeated = DetectabilityLoss((SIDE, SIDE), CHANNELS[:, [0, 0]], memory=0, ridge=0.0).train()
    with pytest.raises(UserError, match="channels depend on each other"):
        repeated(images, Batch(images, present))


def test_no_difference_has_no_gradient():
    difference = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    d2 = detectability2(difference, torch.eye(2, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(d2, difference)
    assert torch.equal(gradient, torch.zeros(2, dtype=torch.float64))
