"""The hybrid loss of a step, and how its gradient is shared between denoiser and head."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taskct.observers import SLNNHead
from taskct.training.descent import validate
from taskct.training.gradient import scale_gradient, scale_value
from taskct.training.losses.base import Batch
from taskct.training.losses.slnn import SLNNLoss
from taskct.training.samples import TaskTrials
from taskct.training.step import HybridLoss, Step
from taskct.trials.trials import TRUTH, Trials

LAMBDAS = (0.0, 0.3, 0.9, 0.99)
MSE_PRE = 7.0


class Head(nn.Module):
    """A linear head in float64."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(5, 4, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, image_hu: torch.Tensor, *, noise: torch.Tensor | None = None) -> torch.Tensor:
        assert noise is None
        return (image_hu * self.weight).sum(dim=(1, 2)) + self.bias


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    denoised = torch.randn(6, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(6, 5, 4, generator=generator, dtype=torch.float64)
    return denoised, reference, torch.tensor([True, False, True, True, False, False])


def terms(denoised: torch.Tensor, reference: torch.Tensor, present: torch.Tensor, head: Head) -> list[torch.Tensor]:
    """MSE and BCE, written out."""
    probability = torch.sigmoid(head(denoised))
    bce = -torch.where(present, probability, 1 - probability).log().mean()
    return [(denoised - reference).square().mean(), bce]


def hybrid(mse: torch.Tensor, bce: torch.Tensor, task_weight: float) -> torch.Tensor:
    """L(λ): both losses over their values before the fine-tuning, weighted by 1 − λ and λ."""
    return (1.0 - task_weight) * mse / MSE_PRE + task_weight * bce / math.log(2.0)


def joint(
    denoised: torch.Tensor, reference: torch.Tensor, present: torch.Tensor, head: nn.Module, task_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a step descends, but in float64; and the task's value."""
    loss = SLNNLoss(head, training="joint")  # type: ignore[arg-type]  # a head of another precision
    task = loss.shared(denoised, Batch(reference, present), task_weight)
    return HybridLoss(MSE_PRE, loss, task_weight)(F.mse_loss(denoised, reference), task), task


@pytest.mark.parametrize("task_weight", LAMBDAS)
def test_who_gets_which_gradient(task_weight: float, batch: tuple[torch.Tensor, ...]) -> None:
    denoised, reference, present = batch
    head = Head()
    loss, value = joint(denoised, reference, present, head, task_weight)
    to_denoiser, *to_head = torch.autograd.grad(loss, (denoised, head.weight, head.bias))

    mse, bce = terms(denoised, reference, present, head)
    (expected,) = torch.autograd.grad(hybrid(mse, bce, task_weight), denoised, retain_graph=True)
    torch.testing.assert_close(to_denoiser, expected, rtol=1e-10, atol=1e-14)
    full = torch.autograd.grad(bce / math.log(2.0), (head.weight, head.bias))
    for found, wanted in zip(to_head, full, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-14)
    assert value.item() == pytest.approx(bce.item() / math.log(2.0))
    assert loss.item() == pytest.approx(hybrid(mse, bce, task_weight).item(), rel=1e-14)


def test_at_lambda_0_the_denoiser_does_not_know_the_task(batch: tuple[torch.Tensor, ...]) -> None:
    """Turning every label round changes nothing for the denoiser, and everything for the head."""
    denoised, reference, present = batch
    head = Head()
    gradients = []
    for labels in (present, ~present):
        loss, _ = joint(denoised, reference, labels, head, 0.0)
        gradients.append(torch.autograd.grad(loss, (denoised, head.weight)))
    assert torch.equal(gradients[0][0], gradients[1][0])
    (of_mse,) = torch.autograd.grad(F.mse_loss(denoised, reference) / MSE_PRE, denoised)
    torch.testing.assert_close(gradients[0][0], of_mse, rtol=1e-12, atol=0)
    assert float((gradients[0][1] - gradients[1][1]).abs().max()) > 0.01


class Gain(nn.Module):
    """Multiplies its images."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.8))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.gain


@pytest.mark.parametrize("task_weight", LAMBDAS)
def test_a_step_descends_the_hybrid_loss(task_weight: float, batch: tuple[torch.Tensor, ...]) -> None:
    """Of the region inside the margin, by the denoiser's own parameters."""
    noisy, reference, present = batch[0].detach().float(), batch[1].float(), batch[2]
    head = SLNNHead((3, 2), scale_hu=2.0)
    with torch.no_grad():
        head.weight += torch.randn(3, 2, generator=torch.Generator().manual_seed(2))
    denoiser = Gain()
    step = Step(denoiser, HybridLoss(MSE_PRE, SLNNLoss(head, training="joint"), task_weight), margin=1)
    loss, parts = step(noisy, Batch(reference, present))
    (found,) = torch.autograd.grad(loss, denoiser.gain)
    denoised = (noisy * denoiser.gain)[:, 1:-1, 1:-1]
    mse = (denoised - reference[:, 1:-1, 1:-1]).square().mean()
    probability = torch.sigmoid(head(denoised))
    bce = -torch.where(present, probability, 1 - probability).log().mean()
    (expected,) = torch.autograd.grad(hybrid(mse, bce, task_weight), denoiser.gain)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(parts, torch.stack([mse, bce / math.log(2.0)]).detach())
    torch.testing.assert_close(loss, hybrid(mse, bce, task_weight))


@pytest.mark.parametrize("task_weight", LAMBDAS)
def test_training_and_validation_take_the_same_loss(task_weight: float, batch: tuple[torch.Tensor, ...]) -> None:
    noisy, reference, present = batch[0].detach().float(), batch[1].float(), batch[2]
    head = SLNNHead((5, 4), scale_hu=2.0)
    with torch.no_grad():
        head.weight += torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    step = Step(Gain(), HybridLoss(MSE_PRE, SLNNLoss(head, training="joint"), task_weight), margin=0)
    loss, parts = step(noisy, Batch(reference, present))
    trials = Trials(noisy.numpy(), reference.numpy(), present.numpy(), {name: np.zeros(6) for name in TRUTH})
    rmse, task, found = validate(
        step, step.hybrid, TaskTrials(trials), seed=0, device=torch.device("cpu"), dtype="float32"
    )
    assert found == step.hybrid(rmse**2, task) == pytest.approx(loss.item(), rel=1e-6)
    assert (rmse**2, task) == pytest.approx(parts.tolist(), rel=1e-6)


@pytest.mark.parametrize("task_weight", LAMBDAS)
def test_the_hybrid_loss_of_the_start_is_1(task_weight: float, batch: tuple[torch.Tensor, ...]) -> None:
    """At MSE_pre and a head that knows nothing both terms are 1, so the loss is, whatever λ."""
    noisy, reference, present = batch[0].detach().float().numpy(), batch[1].float().numpy(), batch[2].numpy()
    trials = Trials(noisy, reference, present, {name: batch[0].new_zeros(6).detach().numpy() for name in TRUTH})
    mse = float(((noisy - reference) ** 2).mean())
    step = Step(nn.Identity(), HybridLoss(mse, SLNNLoss(SLNNHead((5, 4)), training="joint"), task_weight), margin=0)
    found = validate(step, step.hybrid, TaskTrials(trials), seed=0, device=torch.device("cpu"), dtype="float32")
    assert found == pytest.approx((math.sqrt(mse), 1.0, 1.0), rel=1e-6)


def test_scaled_gradients_keep_their_values() -> None:
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    scaled = scale_gradient(values, 0.25)
    assert torch.equal(scaled, values)
    (gradient,) = torch.autograd.grad((scaled * torch.tensor([3.0, 4.0])).sum(), values)
    assert gradient.tolist() == [0.75, 1.0]


def test_scaled_values_keep_their_gradient() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    scaled = scale_value(value, 0.25)
    assert scaled.item() == 0.75
    assert torch.autograd.grad(2.0 * scaled, value)[0].item() == 2.0
    assert (scale_value(3.0, 0.25), scale_value(math.inf, 0.0)) == (0.75, 0.0)
