"""Every check of a task loss can fail."""

import pytest
import torch

from taskct.testing import check_loss, loss_checks
from taskct.training.losses.base import Loss, check_trials


class Contrast(Loss):
    """Error of the contrast, relative to that of the start network; conforms."""

    def __init__(self):
        super().__init__()
        self.register_buffer("start_error", torch.ones(()))

    @staticmethod
    def error(denoised, batch):
        check_trials(denoised, batch)
        difference, present = (denoised - batch.reference).float(), batch.signal_present
        return (difference[present].mean(dim=0) - difference[~present].mean(dim=0)).square().mean()

    def start(self, denoised, batch, *, seed):
        self.start_error.copy_(self.error(denoised, batch))

    def forward(self, denoised, batch):
        return self.error(denoised, batch) / self.start_error


class WithoutLambda(Contrast):
    def shared(self, denoised, batch, task_weight):
        return self(denoised, batch)


class Uphill(Contrast):
    def forward(self, denoised, batch):
        value = super().forward(denoised, batch)
        return 2 * value.detach() - value


class Forgetting(Contrast):
    """What it learned at the start is no part of its state."""

    gain = 1.0

    def start(self, denoised, batch, *, seed):
        super().start(denoised, batch, seed=seed)
        self.gain = float(self.start_error)

    def forward(self, denoised, batch):
        return self.gain * super().forward(denoised, batch)


class Rounded(Contrast):
    def forward(self, denoised, batch):
        third = torch.ones(1, 3) / 3
        return super().forward(denoised, batch) * (third @ third.T).squeeze()  # under autocast in bfloat16


class Counting(Contrast):
    def forward(self, denoised, batch):
        value = super().forward(denoised, batch)
        self.start_error *= 1.01
        return value


class AnyTruth(Contrast):
    def forward(self, denoised, batch):
        return super().forward(denoised, batch._replace(signal_present=batch.signal_present.bool()))


class HidesNaN(Contrast):
    def forward(self, denoised, batch):
        return super().forward(torch.nan_to_num(denoised), batch)


BROKEN = {
    "the_gradient_into_images_is_lambda_times_the_task_s": WithoutLambda,
    "a_step_down_the_gradient_lowers_the_loss": Uphill,
    "the_same_seed_gives_the_same_and_the_state_comes_back": Forgetting,
    "it_computes_in_float32_under_autocast": Rounded,
    "validation_leaves_nothing_behind": Counting,
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
