"""What a network must do before anything is trained with it."""

import copy

import torch
from torch import nn

from taskct.errors import UserError


def check_network_output(network: nn.Module, *, name: str, n_pixels: int) -> None:
    """Run a network on two images of Gaussian noise, in evaluation and in training mode.

    Parameters
    ----------
    network
        To map `(n, 1, height, width)` to the same shape. A copy is run: it keeps its weights and statistics.
    name
        What the user calls it, for messages.
    n_pixels
        Side of the images.

    Raises
    ------
    UserError
        If it fails on them, changes their shape, or returns what is not a floating-point tensor of finite values.
    """
    probe = torch.randn((2, 1, n_pixels, n_pixels), generator=torch.Generator().manual_seed(0))
    where = f"denoiser.network {name!r}"
    for training in (False, True):
        mode = "training" if training else "evaluation"
        try:
            # Seeded, so that dropout does not move the generator of whoever calls.
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                output = copy.deepcopy(network).train(training)(probe.clone())
        except UserError:
            raise
        except Exception as error:  # a user's module may raise anything
            message = " ".join(str(error).split())
            raise UserError(
                f"{where} fails on images of {n_pixels} x {n_pixels} pixels in {mode} mode: "
                f"{type(error).__name__}: {message}; are denoiser.arguments right?"
            ) from error
        if not isinstance(output, torch.Tensor) or output.shape != probe.shape:
            found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise UserError(
                f"{where} turned images of shape {tuple(probe.shape)} into {found} in {mode} mode: it must keep the "
                "shape (n, 1, height, width)"
            )
        if not output.is_floating_point():
            raise UserError(f"{where} returned {output.dtype} in {mode} mode: it must return floating-point images")
        n_bad = int((~torch.isfinite(output)).sum())
        if n_bad:
            raise UserError(
                f"{where} returned NaN or infinity in {n_bad} of {output.numel()} pixels of images of Gaussian noise "
                f"(mean 0, s.d. 1) in {mode} mode: mend its layers or their initial weights"
            )
