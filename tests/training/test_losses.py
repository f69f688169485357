"""The hybrid loss, and how its gradient is shared between denoiser and head."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taskct.training.losses import hybrid_loss, joint_loss, scale_gradient

LAMBDAS = (0.0, 0.3, 0.9, 0.99)
MSE_PRE = 7.0


class Head(nn.Module):
    """A linear head in float64."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(5, 4, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, image_hu: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
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


@pytest.mark.parametrize("task_weight", LAMBDAS)
def test_gradient_of_the_hybrid_loss(task_weight: float, batch: tuple[torch.Tensor, ...]) -> None:
    denoised, reference, present = batch
    head = Head()

    def loss(denoised: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        logits = (denoised * weight).sum(dim=(1, 2)) + bias
        bce = F.binary_cross_entropy_with_logits(logits, present.double())
        return hybrid_loss(F.mse_loss(denoised, reference), bce, task_weight=task_weight, mse_pretrained=MSE_PRE)

    assert torch.autograd.gradcheck(loss, (denoised, head.weight, head.bias))


def test_the_hybrid_loss_of_the_start_is_1() -> None:
    """At MSE_pre and a head that knows nothing both terms are 1, so the loss is, whatever λ."""
    for task_weight in LAMBDAS:
        loss = hybrid_loss(
            torch.tensor(MSE_PRE), torch.tensor(math.log(2.0)), task_weight=task_weight, mse_pretrained=MSE_PRE
        )
        assert float(loss) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("task_weight", LAMBDAS)
def test_who_gets_which_gradient(task_weight: float, batch: tuple[torch.Tensor, ...]) -> None:
    denoised, reference, present = batch
    head = Head()
    loss, mse, bce = joint_loss(denoised, reference, present, head, task_weight=task_weight, mse_pretrained=MSE_PRE)
    to_denoiser, *to_head = torch.autograd.grad(loss, (denoised, head.weight, head.bias))

    expected_mse, expected_bce = terms(denoised, reference, present, head)
    hybrid = hybrid_loss(expected_mse, expected_bce, task_weight=task_weight, mse_pretrained=MSE_PRE)
    (expected,) = torch.autograd.grad(hybrid, denoised, retain_graph=True)
    torch.testing.assert_close(to_denoiser, expected, rtol=1e-10, atol=1e-14)
    full = torch.autograd.grad(expected_bce / math.log(2.0), (head.weight, head.bias))
    for found, wanted in zip(to_head, full, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-14)
    assert float(mse) == pytest.approx(float(expected_mse.detach()))
    assert float(bce) == pytest.approx(float(expected_bce.detach()))
    assert not mse.requires_grad
    assert not bce.requires_grad


def test_at_lambda_0_the_denoiser_does_not_know_the_task(batch: tuple[torch.Tensor, ...]) -> None:
    """Turning every label round changes nothing for the denoiser, and everything for the head."""
    denoised, reference, present = batch
    head = Head()
    gradients = []
    for labels in (present, ~present):
        loss, _, _ = joint_loss(denoised, reference, labels, head, task_weight=0.0, mse_pretrained=MSE_PRE)
        gradients.append(torch.autograd.grad(loss, (denoised, head.weight)))
    assert torch.equal(gradients[0][0], gradients[1][0])
    (of_mse,) = torch.autograd.grad(F.mse_loss(denoised, reference) / MSE_PRE, denoised)
    torch.testing.assert_close(gradients[0][0], of_mse, rtol=1e-12, atol=0)
    assert float((gradients[0][1] - gradients[1][1]).abs().max()) > 0.01


def test_scaled_gradients_keep_their_values() -> None:
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    scaled = scale_gradient(values, 0.25)
    assert torch.equal(scaled, values)
    (gradient,) = torch.autograd.grad((scaled * torch.tensor([3.0, 4.0])).sum(), values)
    assert gradient.tolist() == [0.75, 1.0]
