"""A blend of two denoisers with one dial: f_α = (1 − α)·control + α·task, in one pass as far as they are alike."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class _Kept:
    """What a layer of the control was given and gave."""

    features: torch.Tensor
    features_version: int
    output: torch.Tensor
    output_version: int

    @property
    def changed(self) -> bool:
        """Whether something has worked in place on either since."""
        return self.features._version != self.features_version or self.output._version != self.output_version


class Blend(nn.Module):
    """The weighted mean of two denoisers' images.

    Along α the mean squared error is quadratic, so the first part of the task's gain costs little. Layers that have the
    same weights in both and see the same features, as after a fine-tuning of the last layers alone, are run once.

    Parameters
    ----------
    control, task
        Denoisers of one kind, HU in and HU out; they belong to the blend from then on and are run by it alone.
    alpha
        α, the task denoiser's share, in [0, 1], or a ValueError.

    Examples
    --------
    >>> blend = Blend(nn.Identity(), nn.Flatten(1, 1), alpha=0.25)
    >>> blend(torch.ones(2, 3, 3)).mean().item()
    1.0
    """

    def __init__(self, control: nn.Module, task: nn.Module, *, alpha: float = 1.0) -> None:
        super().__init__()
        self.control = control
        self.task = task
        self.alpha = alpha
        self.shared = shared_layers(control, task)
        """Names of the layers that have the same weights in both."""
        self._kept: dict[str, _Kept] = {}
        self._keeping = False
        of_control, of_task = dict(control.named_modules()), dict(task.named_modules())
        for name in self.shared:
            # Assigned on the modules themselves, so that whatever calls them meets it.
            of_control[name].forward = self._keep(name, of_control[name].forward)
            of_task[name].forward = self._reuse(name, of_task[name].forward)

    @property
    def alpha(self) -> float:
        """α in [0, 1]."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"alpha is {value}; it must lie in [0, 1]")
        self._alpha = float(value)

    def _keep(self, name: str, run: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def kept(*features: torch.Tensor, **options: object) -> torch.Tensor:
            output = run(*features, **options)
            if self._keeping and len(features) == 1 and not options and isinstance(output, torch.Tensor):
                self._kept[name] = _Kept(features[0], features[0]._version, output, output._version)
            return output

        return kept

    def _reuse(self, name: str, run: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def reused(*features: torch.Tensor, **options: object) -> torch.Tensor:
            kept = self._kept.pop(name, None)
            if kept is None or len(features) != 1 or options or kept.changed:
                return run(*features, **options)
            # A comparison costs little beside a layer, and ends at a different shape.
            same = kept.features is features[0] or torch.equal(kept.features, features[0])
            # A copy of its own, since what follows may work in place.
            return kept.output.clone() if same else run(*features, **options)

        return reused

    def extra_repr(self) -> str:
        """What `repr` says of it beside its layers."""
        return f"alpha={self.alpha:g}"

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        """Denoise images in HU, shape `(n, height, width)`, to float32 HU of the same shape."""
        if self.alpha in (0.0, 1.0):
            image: torch.Tensor = (self.task if self.alpha else self.control)(image_hu)
            return image
        # Autograd would keep versions of its own, and nothing is trained through a blend.
        self._keeping = not torch.is_grad_enabled()
        try:
            control, task = self.control(image_hu), self.task(image_hu)
        finally:
            self._keeping = False
            self._kept.clear()
        mean: torch.Tensor = (1.0 - self.alpha) * control.float() + self.alpha * task.float()
        return mean


def shared_layers(a: nn.Module, b: nn.Module) -> list[str]:
    """Names of the layers without parts of their own, or scalings, that do the same in two modules.

    Dropout and normalization over the batch are left out: what they give depends on more than their input.
    """
    others = dict(b.named_modules())
    names = []
    for name, module in a.named_modules():
        other = others.get(name)
        if other is None or type(other) is not type(module) or list(module.children()) or not name:
            continue
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd):
            continue
        mine, its = module.state_dict(), other.state_dict()
        if repr(module) == repr(other) and all(torch.equal(value.cpu(), its[key].cpu()) for key, value in mine.items()):
            names.append(name)
    return names
