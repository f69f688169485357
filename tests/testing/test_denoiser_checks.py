"""Every check of a denoiser can fail."""

import pytest
import torch
from torch import nn

from taskct.denoisers.denoiser import Denoiser
from taskct.testing import check_denoiser, denoiser_checks


class Smooth(nn.Module):
    """A learned blur; conforms as a network and, with its scaling, as a denoiser."""

    def __init__(self):
        super().__init__()
        self.blur = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image):
        return image + self.blur(image)


class HalfSize(Smooth):
    def forward(self, image):
        return super().forward(image)[..., ::2]


class Random(Smooth):
    def forward(self, image):
        return super().forward(image) + 1e-3 * torch.randn_like(image)


class Mixing(Smooth):
    def forward(self, image):
        return super().forward(image) - 0.1 * image.mean(dim=0, keepdim=True)


class Counting(Smooth):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, image):
        self.seen += 1
        return super().forward(image)


class ResetByLoading(Smooth):
    def __init__(self):
        super().__init__()
        self.register_load_state_dict_post_hook(lambda module, _: nn.init.ones_(module.blur.bias))


class Unused(Smooth):
    def __init__(self):
        super().__init__()
        self.idle = nn.Parameter(torch.ones(1))


class Rescaling(Denoiser):
    def forward(self, image_hu):
        return super().forward(image_hu) + 0.01 * self.scale_hu**2


def in_hu(network):
    return Denoiser(network, offset_hu=45.0, scale_hu=30.0)


class Shrinking(nn.Module):
    """As Denoiser would refuse it."""

    def forward(self, image_hu):
        return image_hu[..., ::2]


BROKEN = {
    "hu_in_hu_out": Shrinking,
    "nothing_is_drawn_at_random": lambda: in_hu(Random()),
    "images_of_a_batch_do_not_mix": lambda: in_hu(Mixing()),
    "evaluation_leaves_its_state": lambda: in_hu(Counting()),
    "weights_come_back_from_a_file": lambda: in_hu(ResetByLoading()),
    "every_parameter_gets_a_gradient": lambda: in_hu(Unused()),
    "the_scaling_is_inside": lambda: Rescaling(Smooth(), offset_hu=45.0, scale_hu=30.0),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_a_module_that_keeps_the_laws_passes_and_stays_as_it_is():
    module = in_hu(Smooth()).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    check_denoiser(module)
    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_every_check_is_here():
    assert {str(check) for check in denoiser_checks(in_hu(Smooth()))} == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_module_is_caught(name):
    module = BROKEN[name]()
    (check,) = [check for check in denoiser_checks(module) if str(check) == name]
    with pytest.raises(AssertionError):
        check()
    with pytest.raises(AssertionError):
        check_denoiser(module)


def test_a_network_that_its_denoiser_refuses_is_caught():
    with pytest.raises(AssertionError, match="hu_in_hu_out: UserError: the denoiser turned images"):
        check_denoiser(in_hu(HalfSize()))
