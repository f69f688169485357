"""What every loss must do: who gets which gradient, what is refused, what comes back from a checkpoint."""

import math
from collections.abc import Callable, Collection
from functools import partial

import torch

from taskct.testing.check import Check, refused, require, run, suite
from taskct.training.losses.base import Batch, Loss

N = 40
"""Trials, every other one signal-present."""


def _drawn(shape: tuple[int, int], seed: int) -> tuple[torch.Tensor, Batch]:
    """Regions with a disc of 6 HU, a third of whose contrast the denoiser lost, and what is known of them."""
    generator = torch.Generator().manual_seed(seed)
    row, column = (torch.arange(side) - (side - 1) / 2 for side in shape)
    disc = 6.0 * ((row[:, None] ** 2 + column**2) < 6.0).float()
    present = torch.arange(N) % 2 == 0
    signal = disc.expand(N, *shape).contiguous()
    inserted = present[:, None, None] * signal
    reference = 40.0 + 5.0 * torch.randn(N, *shape, generator=generator) + inserted
    denoised = reference - inserted / 3 + 2.0 * torch.randn(N, *shape, generator=generator)
    return denoised, Batch(reference, present, signal=signal, group=torch.arange(N) // 2 % 2)


def _with_noise(loss: Loss, batch: Batch) -> Batch:
    shape = loss.noise_shape(N)
    noise = None if shape is None else torch.randn(shape, generator=torch.Generator().manual_seed(4))
    return batch._replace(noise=noise)


class _Suite:
    def __init__(self, make: Callable[[], Loss], shape: tuple[int, int]) -> None:
        self.make = make
        self.first, (self.denoised, self.batch), (self.other, _) = (_drawn(shape, seed) for seed in (1, 2, 5))

    def started(self) -> Loss:
        loss, (denoised, batch) = self.make(), self.first
        loss.start(denoised, batch, seed=3)
        return loss.train()

    def value(self, loss: Loss, denoised: torch.Tensor | None = None) -> float:
        value: torch.Tensor = loss(self.denoised if denoised is None else denoised, _with_noise(loss, self.batch))
        return float(value.detach())

    def gradients(self, task_weight: float) -> tuple[torch.Tensor, list[torch.Tensor], float]:
        """Gradients into the images and into the loss's own parameters, as they are shared out, and its value."""
        loss, denoised = self.started(), self.denoised.clone().requires_grad_()
        own = [parameter for parameter in loss.parameters() if parameter.requires_grad]
        value = loss.shared(denoised, _with_noise(loss, self.batch), task_weight)
        require(value.shape == (), f"its value has shape {tuple(value.shape)}: it must be a scalar")
        into_images, *into_own = torch.autograd.grad(value, [denoised, *own])
        return into_images, into_own, float(value.detach())

    def the_gradient_into_images_is_lambda_times_the_task_s(self) -> None:
        half, own_half, value_half = self.gradients(0.5)
        scale = float(half.abs().max())
        require(scale > 0.0, "no gradient reaches the images")
        for task_weight in (0.0, 0.9, 0.99):
            into_images, own, value = self.gradients(task_weight)
            torch.testing.assert_close(into_images, task_weight / 0.5 * half, rtol=1e-5, atol=1e-6 * scale)
            require(value == value_half, f"the value is {value} at λ = {task_weight} and {value_half} at 0.5")
            require(value == self.value(self.started()), "the value with a shared gradient is not that without")
            for found, expected in zip(own, own_half, strict=True):  # its own parameters learn whatever λ is
                torch.testing.assert_close(found, expected, rtol=0.0, atol=0.0)

    def a_step_down_the_gradient_lowers_the_loss(self) -> None:
        """First order, in the direction of the gradient, on the same batch."""
        into_images, _, value = self.gradients(0.5)
        step = 1e-3 / float(into_images.norm()) * into_images
        with torch.no_grad():
            down, up = (self.value(self.started(), self.denoised + move) for move in (-step, step))
        # Two-sided; where classes remember earlier trials the gradient is larger than the slope, never of the other
        # sign.
        require(down < up, f"it is {down} after a step down its gradient and {up} after one up")
        require(0.0 < value < 3.0, f"its value is {value}: 1 means chance, or where the start network stands")

    def the_same_seed_gives_the_same_and_the_state_comes_back(self) -> None:
        first, second, copied = self.started(), self.started(), self.make().train()
        for loss in (first, second):
            self.value(loss, self.other.clone().requires_grad_())  # what is remembered belongs to the state
        copied.load_state_dict(first.state_dict())
        once, again, back = (self.value(loss) for loss in (first, second, copied))
        require(once == again, f"started alike it gives {once} and {again}")
        require(once == back, f"with its state loaded it gives {back}, not {once}")

    def it_computes_in_float32_under_autocast(self) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = self.value(self.started())
        exact = self.value(self.started())
        require(rounded == exact, f"it is {rounded} under autocast to bfloat16 and {exact} without")

    def validation_leaves_nothing_behind(self) -> None:
        loss = self.started()
        before = {key: tensor.clone() for key, tensor in loss.state_dict().items()}
        with torch.no_grad():
            self.value(loss)
        self.value(loss.eval())
        changed = [key for key, tensor in loss.state_dict().items() if not torch.equal(before[key], tensor)]
        require(not changed, f"without gradients, or in evaluation mode, it changed {changed}")

    def wrong_shapes_are_refused(self) -> None:
        loss, (n, height, width) = self.started(), self.denoised.shape
        batch = _with_noise(loss, self.batch)
        refused(ValueError, "images of unlike shape", loss, torch.zeros(n, height, width + 1), batch)
        truth = batch._replace(signal_present=batch.signal_present.float())
        refused(ValueError, "a truth that is not bool", loss, self.denoised, truth)
        short = self.batch._replace(signal_present=batch.signal_present[1:])
        refused(ValueError, "a start with a truth that is too short", partial(loss.start, seed=0), self.denoised, short)

    def nan_gives_nan(self) -> None:
        """The loop ends the arm on a loss that is not finite; a loss must let it through."""
        broken = self.denoised.clone()
        broken[3, 2, 2] = math.nan
        value = self.value(self.started(), broken)
        require(math.isnan(value), f"of an image with NaN it makes {value}")


def loss_checks(
    make: Callable[[], Loss], *, shape: tuple[int, int] = (8, 8), without: Collection[str] = ()
) -> list[Check]:
    """Checks of a loss.

    Parameters
    ----------
    make
        Gives a new loss, not started, for regions of `shape`. Two that it gives are the same.
    shape
        Height and width of the regions, pixels.
    without
        Names of checks to leave out, where the class makes no such promise.

    Returns
    -------
    Checks, each of which can be called alone.

    Examples
    --------
    >>> from taskct.training.losses.signal_promoter import SignalPromoterLoss
    >>> [str(check) for check in loss_checks(SignalPromoterLoss)][-2:]
    ['wrong_shapes_are_refused', 'nan_gives_nan']
    """
    one = _Suite(make, shape)
    return suite(
        [
            one.the_gradient_into_images_is_lambda_times_the_task_s,
            one.a_step_down_the_gradient_lowers_the_loss,
            one.the_same_seed_gives_the_same_and_the_state_comes_back,
            one.it_computes_in_float32_under_autocast,
            one.validation_leaves_nothing_behind,
            one.wrong_shapes_are_refused,
            one.nan_gives_nan,
        ],
        without,
    )


def check_loss(make: Callable[[], Loss], *, shape: tuple[int, int] = (8, 8), without: Collection[str] = ()) -> None:
    """Run every check of a loss, see `loss_checks`.

    Raises
    ------
    AssertionError
        At the first check that fails, with its name.

    Examples
    --------
    >>> from taskct.training.losses.signal_promoter import SignalPromoterLoss
    >>> check_loss(SignalPromoterLoss)
    """
    run(loss_checks(make, shape=shape, without=without))
