"""How value and gradient are scaled apart: the observer learns from all of the gradient, the denoiser from λ of it."""

from typing import Any, TypeVar

import torch

Number = TypeVar("Number", torch.Tensor, float)


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, of_value: float, of_gradient: float) -> torch.Tensor:  # noqa: ANN401 - torch's own context
        ctx.of_gradient = of_gradient
        return values * of_value

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401 - torch's own context
        return gradients[0] * ctx.of_gradient, None, None


def scale_gradient(values: torch.Tensor, factor: float) -> torch.Tensor:
    """The same values; their gradient arrives multiplied by `factor`."""
    scaled: torch.Tensor = _Scale.apply(values, 1.0, factor)  # type: ignore[no-untyped-call]  # untyped in torch
    return scaled


def scale_value(value: Number, factor: float) -> Number:
    """`factor` times the value; its gradient arrives as it is. A plain number times 0 is 0, finite or not."""
    if isinstance(value, torch.Tensor):
        scaled: torch.Tensor = _Scale.apply(value, factor, 1.0)  # type: ignore[no-untyped-call]  # untyped in torch
        return scaled
    return factor * value if factor else 0.0
