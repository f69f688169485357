"""What a network must do before anything is trained with it, found on images of Gaussian noise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from taskct.denoisers.denoiser import autocast, own_words
from taskct.denoisers.sizes import in_fast_order, memory_format, modes_kept, quiet_evaluation, run_padded, takes
from taskct.errors import UserError

SIDES = (16, 32, 48, 64, 96, 128, 256)
"""Sides that are tried to say which images a network takes, pixels."""


@dataclass(frozen=True)
class Use:
    """How a study will use a network."""

    name: str  # what the user calls it, for messages
    n_pixels: int  # side of the regions with their margin
    patch_pixels: int | None = None  # side of the patches that it is trained on too
    multiple: int = 1  # to a multiple of what images are padded for it, pixels
    dtype: str = "float32"  # precision of its layers
    training: bool = True  # whether it is trained too


def try_network(network: nn.Module, use: Use) -> None:
    """Run a network on two images of every size that a study has, and back if it is trained, on the CPU.

    It keeps its weights, statistics and modes. A UserError of one line, if its state is not all tensors; if it fails,
    changes the shape of images, or returns what is not a floating-point tensor of finite values; or if no finite
    gradient reaches what is to be trained.
    """
    where = f"denoiser.network {use.name!r}"
    before = _state(network, where)
    in_fast_order(network)
    with modes_kept(network):
        try:
            for training in (False, True)[: 2 if use.training else 1]:
                _check_pass(network.train(training), use, use.n_pixels, where)
                if not training:
                    _check_pass(network, use, use.n_pixels, where, n_images=1)
            if use.dtype != "float32":  # its reach is measured so, and elsewhere it runs so; autocast copies
                _check_pass(network, replace(use, dtype="float32"), use.n_pixels, where)
            if use.patch_pixels is not None and use.patch_pixels < use.n_pixels:
                _check_pass(network, use, use.patch_pixels, where)
        finally:
            _restore(network, before)


def _state(network: nn.Module, where: str) -> dict[str, torch.Tensor]:
    """A copy of the state; refuses what is no tensor."""
    state = {}
    for key, value in network.state_dict().items():
        if not isinstance(value, torch.Tensor):
            owner = key.rpartition(".")[0]
            part = f"its part {owner!r}" if owner else "it"
            raise UserError(
                f"{where}: {part} keeps extra state of type {type(value).__name__} (get_extra_state), and a model's "
                "file holds tensors alone, never a pickle: keep it in a buffer (register_buffer)"
            )
        state[key] = value.detach().clone()
    return state


def _restore(network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    now = network.state_dict()
    with torch.no_grad():
        for key, value in state.items():
            if key in now:
                now[key].copy_(value)


def _check_pass(network: nn.Module, use: Use, side: int, where: str, *, n_images: int = 2) -> None:
    """One pass forward, and backward in training mode."""
    training = network.training
    mode = "training" if training else "evaluation"
    probe = torch.randn((n_images, 1, side, side), generator=torch.Generator().manual_seed(0))
    image = probe.clone().contiguous(memory_format=memory_format(network))
    # Seeded, so that dropout does not move the generator of whoever calls.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            with torch.set_grad_enabled(training), autocast("cpu", use.dtype):
                output = run_padded(network, image, use.multiple)
        except UserError:
            raise
        except Exception as error:  # a user's module may raise anything
            _refuse_in_place(error, where)
            if n_images == 1:
                raise UserError(
                    f"{where} takes batches of images, but not one alone, as slices are denoised: give squeeze() an "
                    f"axis; in its own words: {own_words(error)}"
                ) from error
            raise UserError(
                f"{where} cannot take images of {side} x {side} pixels in {mode} mode: {_advice(network, side)}; in "
                f"its own words: {own_words(error)}"
            ) from error
        _check_output(output, probe, where, mode)
        if training:
            _check_gradient(network, output, where)


def _check_output(output: object, probe: torch.Tensor, where: str, mode: str) -> None:
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


def _check_gradient(network: nn.Module, output: torch.Tensor, where: str) -> None:
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    if not named:
        return
    cut = f"{where}: no gradient of its output reaches the parameters that are to be trained: "
    if not output.requires_grad:
        raise UserError(
            cut + f"its forward runs under torch.no_grad, or detaches what it returns, or does not use {named[0][0]}"
        )
    try:
        gradients = torch.autograd.grad(output.float().square().mean(), [p for _, p in named], allow_unused=True)
    except Exception as error:  # a user's module may raise anything here as well
        _refuse_in_place(error, where)
        raise UserError(
            f"{where} has no gradient, so it cannot be trained; in its own words: {own_words(error)}"
        ) from error
    found = [(name, g) for (name, _), g in zip(named, gradients, strict=True) if g is not None]
    if not found:
        raise UserError(cut + f"its forward does not use them, as {named[0][0]}")
    for name, gradient in found:
        if not bool(torch.isfinite(gradient).all()):
            raise UserError(
                f"{where}: the gradient of {name} is NaN or infinite on images of Gaussian noise (mean 0, s.d. 1): "
                "mend its layers or their initial weights"
            )


def _refuse_in_place(error: Exception, where: str) -> None:
    """Name what torch refuses for its place in memory."""
    if "inplace operation" in str(error) or "in-place operation" in str(error):
        raise UserError(
            f"{where} changes in place what its own gradient needs: make that operation one that returns a new "
            f"tensor (inplace=False, x = x + …); in its own words: {own_words(error)}"
        ) from error


def _advice(network: nn.Module, side: int) -> str:
    """What a network that fails does take, as far as a few tries show."""
    if odd := {str(p.dtype).removeprefix("torch.") for p in network.parameters() if p.dtype != torch.float32}:
        return f"it has weights of {', '.join(sorted(odd))} and images are float32: leave its weights in float32"
    with quiet_evaluation(network):
        if _runs(network, (2, 1, side, side)):
            return "it does take them in evaluation mode: mend its layers, or give larger regions"
        for channels in (2, 3, 4):
            if _runs(network, (2, channels, side, side)):
                return f"it takes {channels} channels and CT has one: set its channels to 1 in denoiser.arguments"
        if _runs(network, (1, 1, 32, 32, 32)):
            return "it is made for volumes: make it one for 2 dimensions in denoiser.arguments"
        if takes(network, side, side):
            return "it takes one image at a time: make it take batches"
        taken = [one for one in SIDES if takes(network, one, one)]
    if taken:
        sizes = ", ".join(f"{one} x {one}" for one in taken)
        return f"it does take {sizes}: choose trials.region_pixels + 2 trials.margin_pixels to suit"
    return "it must take (n, 1, height, width) and return the same shape"


def _runs(network: nn.Module, shape: Sequence[int]) -> bool:
    try:
        network(torch.zeros(tuple(shape)))
    except Exception:  # as above
        return False
    return True
