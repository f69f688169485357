"""What every denoiser must do: HU in, HU out."""

import copy
import functools
import tempfile
from collections.abc import Collection
from pathlib import Path

import torch
from torch import nn

from taskct.denoisers.denoiser import Denoiser
from taskct.testing.check import Check, require, run, suite
from taskct.training.checkpoints import load_weights, save_weights


class _Suite:
    def __init__(self, module: nn.Module, sides: tuple[int, int], level_hu: float, std_hu: float) -> None:
        self.given = module
        self.sides, self.level_hu, self.std_hu = sides, level_hu, std_hu

    @property
    def fresh(self) -> nn.Module:
        """A copy in evaluation mode: the module that was given stays as it is."""
        return copy.deepcopy(self.given).eval()

    @functools.cached_property
    def images(self) -> torch.Tensor:
        return self.draw(3, *self.sides)

    def draw(self, *shape: int) -> torch.Tensor:
        """Gaussian noise around a level of HU."""
        return self.level_hu + self.std_hu * torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def hu_in_hu_out(self) -> None:
        for n in (3, 1):  # slices are denoised one by one
            images = self.draw(n, *self.sides)
            before = images.clone()
            with torch.no_grad():
                output = self.fresh(images)
            require(isinstance(output, torch.Tensor), f"it returned a {type(output).__name__}, not a tensor")
            require(output.shape == images.shape, f"images {tuple(images.shape)} became {tuple(output.shape)}")
            require(output.dtype == torch.float32, f"it returned {output.dtype}, not float32")
            require(bool(torch.isfinite(output).all()), "it returned values that are not finite")
            require(torch.equal(images, before), "it changed its input")

    @torch.no_grad()
    def nothing_is_drawn_at_random(self) -> None:
        module = self.fresh
        require(torch.equal(module(self.images), module(self.images)), "the same images came back different")

    @torch.no_grad()
    def images_of_a_batch_do_not_mix(self) -> None:
        module = self.fresh
        for one, alone in zip(module(self.images), self.images, strict=True):
            torch.testing.assert_close(one, module(alone[None])[0], rtol=1e-5, atol=1e-3)

    @torch.no_grad()
    def evaluation_leaves_its_state(self) -> None:
        module = self.fresh
        before = {key: value.clone() for key, value in module.state_dict().items()}
        module(self.images)
        changed = [key for key, value in module.state_dict().items() if not torch.equal(value, before[key])]
        require(not changed, f"in evaluation mode it changed {changed}")

    @torch.no_grad()
    def weights_come_back_from_a_file(self) -> None:
        saved, other = self.fresh, self.fresh
        # Zeros will not do: a network that takes the noise from its input would do nothing.
        for value in other.state_dict().values():
            if value.is_floating_point():
                value.mul_(1.5).add_(0.01)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "weights.safetensors"
            save_weights(file, {"denoiser": saved}, {"schema": 1})
            load_weights(file, {"denoiser": other})
        require(torch.equal(saved(self.images), other(self.images)), "with its weights loaded it gives other images")

    def every_parameter_gets_a_gradient(self) -> None:
        module = self.fresh.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            module(self.images).square().mean().backward()
        cut = [
            name
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not float(parameter.grad.abs().sum()) > 0)
        ]
        require(not cut, f"no gradient reaches {cut}")

    @torch.no_grad()
    def the_scaling_is_inside(self) -> None:
        """Images moved and stretched come back moved and stretched, when the scaling is told so."""
        move, stretch = 1000.0, 4.0
        module, moved = self.fresh, self.fresh
        assert isinstance(moved, Denoiser)
        moved.offset_hu.mul_(stretch).add_(move)
        moved.scale_hu.mul_(stretch)
        # float32 keeps 1e-4 HU of 1000 HU; the network sees that error divided by the scale.
        back = (moved(self.images * stretch + move) - move) / stretch
        torch.testing.assert_close(back, module(self.images), rtol=1e-5, atol=2e-3)


def denoiser_checks(
    module: nn.Module,
    *,
    sides: tuple[int, int] = (23, 37),
    level_hu: float = 45.0,
    std_hu: float = 30.0,
    without: Collection[str] = (),
) -> list[Check]:
    """Checks of a denoiser.

    Parameters
    ----------
    module
        Maps HU `(n, height, width)` to the same, on the CPU; it is left as it is. A network that sees scaled images
        goes into `taskct.denoisers.denoiser.Denoiser` first.
    sides
        Height and width of the images that it is given, pixels; by default odd and unlike.
    level_hu, std_hu
        Mean and standard deviation of the images, Gaussian noise, HU.
    without
        Names of checks to leave out, where the class makes no such promise.

    Returns
    -------
    Checks, each of which can be called alone: that of gradients for a module with parameters to train only, that of
    the scaling for a `Denoiser` only.

    Examples
    --------
    >>> from taskct.denoisers.denoiser import Denoiser, make_network
    >>> network = make_network("cnn", {"n_layers": 2, "n_channels": 4})
    >>> [str(check) for check in denoiser_checks(Denoiser(network, offset_hu=45, scale_hu=30))][:2]
    ['hu_in_hu_out', 'nothing_is_drawn_at_random']
    """
    one = _Suite(module, sides, level_hu, std_hu)
    laws = [
        one.hu_in_hu_out,
        one.nothing_is_drawn_at_random,
        one.images_of_a_batch_do_not_mix,
        one.evaluation_leaves_its_state,
        one.weights_come_back_from_a_file,
    ]
    if any(parameter.requires_grad for parameter in module.parameters()):
        laws.append(one.every_parameter_gets_a_gradient)
    if isinstance(module, Denoiser):
        laws.append(one.the_scaling_is_inside)
    return suite(laws, without)


def check_denoiser(
    module: nn.Module,
    *,
    sides: tuple[int, int] = (23, 37),
    level_hu: float = 45.0,
    std_hu: float = 30.0,
    without: Collection[str] = (),
) -> None:
    """Run every check of a denoiser, see `denoiser_checks`.

    Raises
    ------
    AssertionError
        At the first check that fails, with its name.

    Examples
    --------
    >>> check_denoiser(nn.Identity())
    """
    run(denoiser_checks(module, sides=sides, level_hu=level_hu, std_hu=std_hu, without=without))
