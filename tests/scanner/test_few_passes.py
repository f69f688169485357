"""What is left out to save time changes no number."""

import pytest
import torch

from taskct.scanner import noise, system_matrix
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.noise import STARVED, THROUGH, WINDOW, starved_below, starved_share
from taskct.scanner.projector import Projector


def shares(lines: torch.Tensor, i0: torch.Tensor | float, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Every ray looked at."""
    counts = i0 * torch.exp(-lines)
    relative = torch.sqrt(counts + sigma**2) / counts
    through = lines > THROUGH
    lost = (relative > (WINDOW[0] * WINDOW[1]) ** 0.5) & through
    n_through = through.sum(dim=(1, 2)).clamp(min=1)
    return (relative > STARVED).double().mean(dim=(1, 2)), (lost.sum(dim=(1, 2)) / n_through).double()


@pytest.mark.parametrize("sigma", [0.0, 10.0])
@pytest.mark.parametrize("shape", [None, (6, 20, 1), (30,), (1, 20, 30), (6, 20, 30)])
def test_starved_shares_are_those_of_every_ray(shape: tuple[int, ...] | None, sigma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    thickest = torch.tensor([1.0, 3.0, 5.0, 8.0, 10.0, 14.0])[:, None, None]
    lines = torch.rand((6, 20, 30), generator=generator) * thickest
    i0 = 1e4 if shape is None else 1e4 * (0.1 + torch.rand(shape, generator=generator))
    found = starved_share(lines, i0=i0, electronic_noise=sigma)
    for one, expected in zip(found, shares(lines, i0, sigma), strict=True):
        torch.testing.assert_close(one, expected, rtol=0, atol=0)
    assert found[0][0] == 0  # there are objects of both kinds
    assert found[0][-1] > 0


@pytest.mark.parametrize("sigma", [0.0, 3.0, 40.0])
def test_the_limit_of_starvation_is_a_relative_deviation(sigma: float) -> None:
    counts = starved_below(sigma)
    assert (counts + sigma**2) ** 0.5 / counts == pytest.approx(noise.STARVED)


def test_pixels_that_hold_nothing_are_left_out_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was projected before, and though the later object is larger."""
    geometry = ScanGeometry(595.0, 1085.6, 60, 8.0, 40)
    axis = (torch.arange(64) - 31.5) / 32.0
    radius = (axis[None, :] ** 2 + 1.7 * axis[:, None] ** 2).sqrt()
    image = torch.rand((9, 64, 64), generator=torch.Generator().manual_seed(0))
    small, large = image * (radius < 0.4), image * (radius < 0.7)
    projector = Projector(geometry, n_pixels=64, pixel_mm=4.0)
    found = [projector.project(one) for one in (small, large, small)]
    system = projector._system
    assert system._trimmed is not None
    assert system._trimmed.values().numel() < 0.9 * system.to_views.values().numel()
    monkeypatch.setattr(system_matrix, "MAX_TRIMMED", 0)
    whole = Projector(geometry, n_pixels=64, pixel_mm=4.0)
    for one, other in zip(found, (small, large, small), strict=True):
        torch.testing.assert_close(one, whole.project(other), rtol=0, atol=0)
