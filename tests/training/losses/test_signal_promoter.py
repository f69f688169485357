"""The signal-promoter loss against NumPy, and on images whose lost contrast is known."""

import numpy as np
import pytest
import torch

from taskct.training.losses.base import Batch
from taskct.training.losses.signal_promoter import SignalPromoterLoss

N = 50
PRESENT = torch.arange(N) % 2 == 0


def trials(kept: float, painted: float = 0.0, n: int = N, noise: float = 0.0) -> tuple[torch.Tensor, ...]:
    """A denoiser that keeps a share of the contrast where a signal is and paints a share where there is none."""
    generator = torch.Generator().manual_seed(0)
    present = torch.arange(n) % 2 == 0
    signal = torch.rand(n, 5, 6, generator=generator) * (torch.rand(n, 1, 1, generator=generator) * 9.0 + 1.0)
    background = 40.0 + torch.randn(n, 5, 6, generator=generator)
    on = present[:, None, None].float()
    reference = background + on * signal
    denoised = background + (kept * on + painted * (1.0 - on)) * signal
    return denoised + noise * torch.randn(n, 5, 6, generator=generator), reference, signal


@pytest.mark.parametrize("memory", [0, 1000])
@pytest.mark.parametrize(("kept", "painted"), [(1.0, 0.0), (0.0, 0.0), (0.4, 0.0), (0.9, 0.9), (1.3, 0.0)])
def test_is_the_square_of_the_contrast_that_is_lost(kept, painted, memory):
    denoised, reference, signal = trials(kept, painted)
    task = SignalPromoterLoss(memory=memory).train()
    for _ in range(2):
        value = task(denoised, Batch(reference, PRESENT, signal=signal))
    assert float(value) == pytest.approx((1.0 - kept + painted) ** 2, abs=1e-5)


@pytest.mark.parametrize("absent_too", [True, False])
def test_in_numpy(absent_too):
    denoised, reference, signal = trials(0.7, 0.1, noise=3.0)
    if not absent_too:
        signal[~PRESENT] = 0.0
    signal[4] = 0.0  # a signal outside its region counts for nothing
    value = SignalPromoterLoss(memory=0).train()(denoised, Batch(reference, PRESENT, signal=signal))
    f, r, s, present = (x.numpy().astype(float) for x in (denoised, reference, signal, PRESENT))
    e = [np.sum(si * (fi - ri)) / np.sum(si**2) if si.any() else np.nan for fi, ri, si in zip(f, r, s, strict=True)]
    e = np.array(e)
    absent = np.nanmean(e[present == 0]) if absent_too else 0.0
    assert float(value) == pytest.approx((absent - np.nanmean(e[present == 1])) ** 2, rel=1e-5)


def test_gradient_puts_back_the_signal():
    denoised, reference, signal = trials(0.4, n=6)
    present = PRESENT[:6]
    denoised = denoised.double().requires_grad_()
    task = SignalPromoterLoss(memory=0).train()
    assert torch.autograd.gradcheck(
        lambda f: task(f, Batch(reference.double(), present, signal=signal.double())), (denoised,)
    )
    task(denoised, Batch(reference.double(), present, signal=signal)).backward()
    descent, wanted = -denoised.grad[present], signal.double()[present]
    expected = 2.0 * 0.6 / 3 * wanted / wanted.square().sum(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(descent, expected, rtol=1e-5, atol=1e-9)


def test_memory_takes_the_noise_of_a_batch_out_of_the_square():
    denoised, reference, signal = trials(1.0, n=4000, noise=30.0)
    present = torch.arange(4000) % 2 == 0
    values = {}
    for memory in (0, 1000):
        task = SignalPromoterLoss(memory=memory).train()
        task.start(denoised, Batch(reference, present, signal=signal), seed=0)
        batches = torch.arange(4000).split(20)
        values[memory] = np.mean(
            [float(task(denoised[k], Batch(reference[k], present[k], signal=signal[k]))) for k in batches]
        )
    # Nothing is lost: the square is the variance of the difference of means, which falls with the trials it is of.
    assert values[1000] < values[0] / 10.0


def test_needs_a_signal():
    denoised, reference, signal = trials(0.5)
    assert SignalPromoterLoss.needs_signal
    with pytest.raises(ValueError, match="needs the noise-free signal"):
        SignalPromoterLoss()(denoised, Batch(reference, PRESENT))
    with pytest.raises(ValueError, match="signal is"):
        SignalPromoterLoss()(denoised, Batch(reference, PRESENT, signal=signal[1:]))
