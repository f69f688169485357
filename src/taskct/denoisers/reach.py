"""How far the output of a network reaches, and by what steps it moves with its input."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from taskct.denoisers.sizes import modes_kept

MAX_ALIGNMENT = 32
"""The coarsest grid that is looked for in a network that does not name its own, pixels."""


@contextlib.contextmanager
def _plain_evaluation(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, and convolutions that touch nothing but their taps.

    The fast libraries may convolve by Winograd's or Fourier's transform, which spread a NaN over whole tiles, and round
    factors to 10 bits (TF32).
    """
    # Only these two flags: their modules' own context managers change the precision as well.
    libraries = (torch.backends.mkldnn, torch.backends.cudnn)
    enabled = [bool(library.enabled) for library in libraries]
    with modes_kept(network):
        network.eval()
        try:
            for library in libraries:
                library.enabled = False  # type: ignore[attr-defined]  # torch's stubs lack it
            yield
        finally:
            for library, was_enabled in zip(libraries, enabled, strict=True):
                library.enabled = was_enabled  # type: ignore[attr-defined]  # as above


def _place_of(network: nn.Module) -> torch.device:
    return next((tensor.device for tensor in [*network.parameters(), *network.buffers()]), torch.device("cpu"))


def _extents(touched: torch.Tensor, pixel: int) -> list[int]:
    """How far the true pixels of `(height, width)` lie above, left of, below and right of one on the diagonal."""
    where = touched.nonzero()
    if len(where) == 0:
        return [0, 0, 0, 0]
    before, after = pixel - where.min(dim=0).values, where.max(dim=0).values - pixel
    return [int(v) for v in torch.cat([before, after]).clamp(min=0)]


def _reached_from(network: nn.Module, probe: torch.Tensor, pixel: int) -> list[int]:
    """Extents of the outputs that one input pixel can change: those that a NaN there reaches.

    A NaN passes through every product, even with a weight of zero, and through ReLUs and poolings, so nothing hides
    it as a dead ReLU hides a gradient: what is not reached cannot depend on the pixel.
    """
    poisoned = probe.clone()
    poisoned[..., pixel, pixel] = torch.nan
    with torch.no_grad():
        return _extents(network(poisoned)[0, 0].isnan(), pixel)


def receptive_radius(network: nn.Module, *, n_pixels: int) -> int:
    """How far an output pixel reaches, pixels to each side, never understated.

    With pooling, it depends on where a pixel lies within a cell of the coarsest grid; the largest is returned.

    Parameters
    ----------
    network
        Maps `(n, 1, height, width)` to the same shape. Evaluated in evaluation mode, and left as it was.
    n_pixels
        Side of the probe image, at least 2; a network that reaches further gives `n_pixels // 2`.
    """
    middle = n_pixels // 2
    probe = torch.randn((1, 1, n_pixels, n_pixels), generator=torch.Generator().manual_seed(0)).to(_place_of(network))
    with _plain_evaluation(network):
        # Two pixels beside the centre: up to the middle of the probe, one sees the left side and one the right.
        neighbour = middle - 1
        first, second = _reached_from(network, probe, middle), _reached_from(network, probe, neighbour)
        reaches = [first[0], first[1], second[2], second[3]]
        inner = middle - 1  # as far as both are seen whole, on either side
        if max(reaches) < middle and [min(a, inner) for a in first] != [min(b, inner) for b in second]:
            # The two differ: there is a coarser grid, so every place in its cells is tried.
            # Cells larger than half the probe show there already.
            n_phases = min(int(getattr(network, "alignment", MAX_ALIGNMENT)), middle)
            start = middle - n_phases // 2
            for pixel in range(start, start + n_phases):
                found = _reached_from(network, probe, pixel)
                to_border = [pixel, pixel, n_pixels - 1 - pixel, n_pixels - 1 - pixel]
                # What touches the border of the probe may reach further.
                reaches += [middle if a == b else a for a, b in zip(found, to_border, strict=True)]
        # A module that replaces NaNs, or takes a branch on them, still shows what it reaches by its gradient.
        with torch.enable_grad():
            leaf = probe.clone().requires_grad_()
            output = network(leaf * 1.0)[0, 0, middle, middle]  # a product, which it may change in place
            if output.requires_grad:
                (gradient,) = torch.autograd.grad(output, leaf)
                reaches += _extents(gradient[0, 0] != 0, middle)
    return min(max(reaches), middle)


def wraps_around(network: nn.Module, *, radius: int, n_pixels: int) -> bool:
    """Whether a pixel in a corner reaches further than one in the middle, as with circular padding.

    `n_pixels`, the side of the probe image, is more than twice the network's receptive radius.
    """
    probe = torch.zeros((1, 1, n_pixels, n_pixels), device=_place_of(network))
    with _plain_evaluation(network):
        return any(max(_reached_from(network, probe, corner)) > radius for corner in (0, n_pixels - 1))


def measured_alignment(network: nn.Module, *, radius: int, probe: torch.Tensor) -> int | None:
    """The least step by which an image can move so that the result moves with it, away from the border.

    1, 2, 4, … or `MAX_ALIGNMENT` pixels; None if the result depends on the place itself. The probe is an image, `(1, 1,
    n, n)` with `n > 2 · (radius + MAX_ALIGNMENT)`.
    """
    side = probe.shape[-1] - MAX_ALIGNMENT
    with torch.no_grad(), _plain_evaluation(network):
        still = network(probe[..., :side, :side].contiguous())
        step = 1
        while step <= MAX_ALIGNMENT:
            moved = network(probe[..., step : step + side, step : step + side].contiguous())
            here = still[..., radius + step : side - radius, radius + step : side - radius]
            there = moved[..., radius : side - radius - step, radius : side - radius - step]
            # The same sums in the same order or nearly: a few roundings of float32 apart.
            scale = float(still.abs().max())
            if here.numel() and bool(((here - there).abs() <= 1e-5 * scale).all()):
                return step
            step *= 2
    return None
