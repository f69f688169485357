"""What every task loss must do: who gets which gradient, what is refused, what comes back from a checkpoint."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch

from taskct.testing.check import Check, refused, require, run, suite
from taskct.training.losses import TaskLoss

N = 40
"""Trials, every other one signal-present."""


@dataclass(frozen=True)
class _Batch:
    """Regions with a disc of 6 HU, a third of whose contrast the denoiser lost."""

    denoised: torch.Tensor
    reference: torch.Tensor
    signal_present: torch.Tensor
    signal: torch.Tensor
    group: torch.Tensor

    @classmethod
    def drawn(cls, shape: tuple[int, int], seed: int) -> "_Batch":
        generator = torch.Generator().manual_seed(seed)
        row, column = (torch.arange(side) - (side - 1) / 2 for side in shape)
        disc = 6.0 * ((row[:, None] ** 2 + column**2) < 6.0).float()
        present = torch.arange(N) % 2 == 0
        signal = disc.expand(N, *shape).contiguous()
        inserted = present[:, None, None] * signal
        reference = 40.0 + 5.0 * torch.randn(N, *shape, generator=generator) + inserted
        denoised = reference - inserted / 3 + 2.0 * torch.randn(N, *shape, generator=generator)
        return cls(denoised, reference, present, signal, torch.arange(N) // 2 % 2)


def _start(loss: TaskLoss, batch: _Batch) -> TaskLoss:
    loss.start(batch.denoised, batch.reference, batch.signal_present, seed=3, signal=batch.signal, group=batch.group)
    return loss.train()


def _call(loss: TaskLoss, batch: _Batch, task_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    shape = loss.noise_shape(N)
    noise = None if shape is None else torch.randn(shape, generator=torch.Generator().manual_seed(4))
    term, value = loss(
        batch.denoised,
        batch.reference,
        batch.signal_present,
        task_weight=task_weight,
        noise=noise,
        signal=batch.signal,
        group=batch.group,
    )
    return term, value


class _Suite:
    def __init__(self, make: Callable[[], TaskLoss], shape: tuple[int, int]) -> None:
        self.make = make
        self.first, self.batch, self.other = (_Batch.drawn(shape, seed) for seed in (1, 2, 5))

    def started(self) -> TaskLoss:
        return _start(self.make(), self.first)

    def value(self, loss: TaskLoss, batch: _Batch | None = None) -> float:
        return float(_call(loss, batch or self.batch, 0.5)[1])

    def gradients(self, task_weight: float) -> tuple[torch.Tensor, list[torch.Tensor], float]:
        """Gradients of the term into the images and into the loss's own parameters, and its value."""
        loss, denoised = self.started(), self.batch.denoised.clone().requires_grad_()
        own = [parameter for parameter in loss.parameters() if parameter.requires_grad]
        term, value = _call(loss, replace(self.batch, denoised=denoised), task_weight)
        require(term.shape == value.shape == (), f"term {tuple(term.shape)} and value {tuple(value.shape)}: no scalars")
        require(not value.requires_grad, "the value must be detached")
        into_images, *into_own = torch.autograd.grad(term, [denoised, *own])
        return into_images, into_own, float(value)

    def the_gradient_into_images_is_lambda_times_the_task_s(self) -> None:
        half, own_half, value_half = self.gradients(0.5)
        scale = float(half.abs().max())
        require(scale > 0.0, "no gradient reaches the images")
        for task_weight in (0.0, 0.9, 0.99):
            into_images, own, value = self.gradients(task_weight)
            torch.testing.assert_close(into_images, task_weight / 0.5 * half, rtol=1e-5, atol=1e-6 * scale)
            require(value == value_half, f"the value is {value} at λ = {task_weight} and {value_half} at 0.5")
            for found, expected in zip(own, own_half, strict=True):  # its own parameters learn whatever λ is
                torch.testing.assert_close(found, expected, rtol=0.0, atol=0.0)

    def a_step_down_the_gradient_lowers_the_loss(self) -> None:
        """First order, in the direction of the gradient, on the same batch."""
        into_images, _, value = self.gradients(0.5)
        step = 1e-3 / float(into_images.norm()) * into_images
        with torch.no_grad():
            down, up = (
                self.value(self.started(), replace(self.batch, denoised=self.batch.denoised + move))
                for move in (-step, step)
            )
        # Two-sided; where classes remember earlier trials the gradient is larger than the slope, never of the other
        # sign.
        require(down < up, f"it is {down} after a step down its gradient and {up} after one up")
        require(0.0 < value < 3.0, f"its value is {value}: 1 means chance, or where the start network stands")

    def the_same_seed_gives_the_same_and_the_state_comes_back(self) -> None:
        first, second, copied = self.started(), self.started(), self.make().train()
        moving = replace(self.other, denoised=self.other.denoised.clone().requires_grad_())
        for loss in (first, second):
            _call(loss, moving, 0.3)  # what is remembered belongs to the state
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

    def lambda_out_of_range_is_refused(self) -> None:
        for task_weight in (-0.1, 1.0, math.nan):
            refused(ValueError, f"λ = {task_weight}", _call, self.started(), self.batch, task_weight)

    def wrong_shapes_are_refused(self) -> None:
        b, loss = self.batch, self.started()
        wide = torch.zeros(*b.denoised.shape[:2], b.denoised.shape[2] + 1)
        refused(ValueError, "images of unlike shape", _call, loss, replace(b, denoised=wide), 0.5)
        truth = replace(b, signal_present=b.signal_present.float())
        refused(ValueError, "a truth that is not bool", _call, loss, truth, 0.5)
        short = replace(self.first, signal_present=b.signal_present[1:])
        refused(ValueError, "a start with a truth that is too short", _start, loss, short)

    def nan_gives_nan(self) -> None:
        """The loop ends the arm on a loss that is not finite; a loss must let it through."""
        broken = self.batch.denoised.clone()
        broken[3, 2, 2] = math.nan
        value = self.value(self.started(), replace(self.batch, denoised=broken))
        require(math.isnan(value), f"of an image with NaN it makes {value}")


def loss_checks(
    make: Callable[[], TaskLoss], *, shape: tuple[int, int] = (8, 8), without: Collection[str] = ()
) -> list[Check]:
    """Checks of a task loss.

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
    >>> from taskct.training.losses import SignalPromoterTask
    >>> [str(check) for check in loss_checks(SignalPromoterTask)][-2:]
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
            one.lambda_out_of_range_is_refused,
            one.wrong_shapes_are_refused,
            one.nan_gives_nan,
        ],
        without,
    )


def check_loss(make: Callable[[], TaskLoss], *, shape: tuple[int, int] = (8, 8), without: Collection[str] = ()) -> None:
    """Run every check of a task loss, see `loss_checks`.

    Raises
    ------
    AssertionError
        At the first check that fails, with its name.

    Examples
    --------
    >>> from taskct.training.losses import SignalPromoterTask
    >>> check_loss(SignalPromoterTask)
    """
    run(loss_checks(make, shape=shape, without=without))
