"""Every check of a task loss can fail."""

import math

import pytest
import torch

from taskct.testing import check_loss, loss_checks
from taskct.training.losses import TaskLoss
from taskct.training.losses.base import check_batch, check_trials


class Contrast(TaskLoss):
    """Error of the contrast, relative to that of the start network; conforms."""

    def __init__(self):
        super().__init__()
        self.register_buffer("start_error", torch.ones(()))

    @staticmethod
    def error(denoised, reference, signal_present):
        difference = (denoised - reference).float()
        return (difference[signal_present].mean(dim=0) - difference[~signal_present].mean(dim=0)).square().mean()

    def start(self, denoised, reference, signal_present, *, seed, signal=None, group=None):
        check_trials(denoised, reference, signal_present)
        self.start_error.copy_(self.error(denoised, reference, signal_present))

    def forward(self, denoised, reference, signal_present, *, task_weight, noise=None, signal=None, group=None):
        check_batch(denoised, reference, signal_present, task_weight=task_weight)
        value = self.error(denoised, reference, signal_present) / self.start_error
        return task_weight * value, value.detach()


class WithoutLambda(Contrast):
    def forward(self, *args, **kwargs):
        term, value = super().forward(*args, **kwargs)
        return term / max(kwargs["task_weight"], 0.1), value


class Uphill(Contrast):
    def forward(self, *args, **kwargs):
        term, value = super().forward(*args, **kwargs)
        return -term, value


class Forgetting(Contrast):
    """What it learned at the start is no part of its state."""

    def start(self, *args, **kwargs):
        super().start(*args, **kwargs)
        self.gain = float(self.start_error)

    def forward(self, *args, **kwargs):
        term, value = super().forward(*args, **kwargs)
        gain = getattr(self, "gain", 1.0)
        return gain * term, gain * value


class Rounded(Contrast):
    def forward(self, *args, **kwargs):
        term, value = super().forward(*args, **kwargs)
        one = torch.ones(1, 3) / 3
        product = (one @ one.T).squeeze()  # under autocast in bfloat16
        return term * product, value * product


class Counting(Contrast):
    def forward(self, *args, **kwargs):
        found = super().forward(*args, **kwargs)
        self.start_error *= 1.01
        return found


class AnyWeight(Contrast):
    def forward(self, denoised, reference, signal_present, *, task_weight, **kwargs):
        safe = 0.5 if math.isnan(task_weight) else min(max(task_weight, 0.0), 0.5)
        return super().forward(denoised, reference, signal_present, task_weight=safe, **kwargs)


class AnyTruth(Contrast):
    def forward(self, denoised, reference, signal_present, **kwargs):
        return super().forward(denoised, reference, signal_present.bool(), **kwargs)


class HidesNaN(Contrast):
    def forward(self, denoised, *args, **kwargs):
        return super().forward(torch.nan_to_num(denoised), *args, **kwargs)


BROKEN = {
    "the_gradient_into_images_is_lambda_times_the_task_s": WithoutLambda,
    "a_step_down_the_gradient_lowers_the_loss": Uphill,
    "the_same_seed_gives_the_same_and_the_state_comes_back": Forgetting,
    "it_computes_in_float32_under_autocast": Rounded,
    "validation_leaves_nothing_behind": Counting,
    "lambda_out_of_range_is_refused": AnyWeight,
    "wrong_shapes_are_refused": AnyTruth,
    "nan_gives_nan": HidesNaN,
}


@pytest.mark.parametrize("shape", [(8, 8), (10, 7)])
def test_a_class_that_keeps_the_laws_passes(shape):
    check_loss(Contrast, shape=shape)


def test_every_check_is_here():
    assert {str(check) for check in loss_checks(Contrast)} == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_class_is_caught(name):
    (check,) = [check for check in loss_checks(BROKEN[name]) if str(check) == name]
    with pytest.raises(AssertionError):
        check()
    with pytest.raises(AssertionError):
        check_loss(BROKEN[name])
