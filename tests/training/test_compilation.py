"""torch.compile: the same network, faster, and left as it was."""

import pytest
import torch
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import Denoiser
from taskct.errors import UserError
from taskct.training import descent
from taskct.training.descent import MIN_STEPS, can_compile, compiled, compiles


@pytest.mark.skipif(not can_compile("cpu"), reason="no C++ compiler")
def test_a_compiled_network_gives_the_same_images() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(ResidualCNN(n_layers=2, n_channels=3), offset_hu=-900.0, scale_hu=10.0)
    names = list(denoiser.state_dict())
    images = -900.0 + 10.0 * torch.randn(2, 8, 8)
    with torch.no_grad():
        expected = denoiser(images)
        with compiled(denoiser, on=True):
            assert denoiser.network._compiled_call_impl is not None
            torch.testing.assert_close(denoiser(images), expected, rtol=0, atol=1e-3)
            with torch.autocast("cpu", dtype=torch.bfloat16):  # which has steps of 4 HU in lung
                torch.testing.assert_close(denoiser(images), expected, rtol=0, atol=0.2)
            assert list(denoiser.state_dict()) == names
    assert denoiser.network._compiled_call_impl is None


def test_it_is_off_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder

    def none_found() -> str:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none_found)
    assert not can_compile("cpu")
    assert not compiles("auto", n_steps=10 * MIN_STEPS, device="cpu")
    with pytest.raises(UserError, match="compile is always but there is no compiler"):
        compiles("always", n_steps=1, device="cpu")


def test_a_short_training_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "can_compile", lambda device: True)
    assert not compiles("auto", n_steps=MIN_STEPS - 1, device="cpu")
    assert compiles("auto", n_steps=MIN_STEPS, device="cpu")
    assert compiles("always", n_steps=1, device="cpu")
    assert not compiles("never", n_steps=MIN_STEPS, device="cpu")


def test_off_does_nothing() -> None:
    network = nn.Identity()
    with compiled(network, on=False):
        assert network._compiled_call_impl is None
