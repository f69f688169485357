"""Several tasks at once: the mean of their losses, each observer learning all of its own."""

import pytest
import torch

from taskct.errors import UserError
from taskct.observers import SLNNHead
from taskct.training.losses.base import Batch
from taskct.training.losses.several import SeveralLosses
from taskct.training.losses.slnn import SLNNLoss

SIDE = 6


def two_losses() -> list[SLNNLoss]:
    generator = torch.Generator().manual_seed(0)
    eye = SLNNHead((SIDE, SIDE), kind="eye", pixel_mm=0.7, internal_noise_hu=3.0, scale_hu=10.0)
    tasks = [SLNNLoss(SLNNHead((SIDE, SIDE), scale_hu=10.0), training="joint"), SLNNLoss(eye, training="joint")]
    with torch.no_grad():
        for task in tasks:
            task.head.weight += torch.randn(task.head.weight.shape, generator=generator)  # type: ignore[union-attr, operator]  # a single head
    return tasks


def batch(n: int = 10) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    denoised, reference = 10.0 * torch.randn(2, n, SIDE, SIDE, generator=generator)
    return (
        denoised.requires_grad_(),
        reference,
        torch.arange(n) % 2 == 0,
        torch.randn(n, SIDE, SIDE, generator=generator),
    )


def test_the_value_and_the_image_gradient_are_means_and_heads_learn_in_full() -> None:
    tasks, weight = two_losses(), 0.7
    denoised, reference, present, noise = batch()
    alone_images, alone_heads, values = torch.zeros_like(denoised), [], []
    for task, own in zip(tasks, (None, noise), strict=True):
        value = task.shared(denoised, Batch(reference, present, noise=own), weight)
        images, head = torch.autograd.grad(value, [denoised, task.head.weight])
        alone_images += images / 2
        alone_heads.append(head)
        values.append(value)
    both = SeveralLosses(tasks)
    assert both.noise_shape(10) == (10, SIDE * SIDE)
    known = Batch(reference, present, noise=noise.reshape(10, -1))
    torch.testing.assert_close(both(denoised, known), torch.stack(values).mean())
    value = both.shared(denoised, known, weight)
    images, *heads = torch.autograd.grad(value, [denoised, *(task.head.weight for task in tasks)])
    torch.testing.assert_close(value, torch.stack(values).mean())
    torch.testing.assert_close(images, alone_images)
    for found, expected in zip(heads, alone_heads, strict=True):
        torch.testing.assert_close(found, expected)


def test_without_noise_none_is_wanted() -> None:
    assert SeveralLosses([two_losses()[0]]).noise_shape(4) is None


def test_none_is_refused() -> None:
    with pytest.raises(UserError, match="at least one"):
        SeveralLosses([])
