"""Detectability of the denoised regions as a loss: a channelized Hotelling observer that gradients flow through."""

import math
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.observer_registry import CONDITIONS
from taskct.observers.base import RIDGE
from taskct.observers.channels import unit_channels
from taskct.training.losses.base import Batch, Loss, Scene, check_trials
from taskct.training.losses.moments import ClassMoments

_ROUNDING = 1e-10  # standard deviation of a channel's outputs, relative to the largest mean, that is but rounding
_TINY = 1e-24  # below any d² that matters; the root of d² has a slope at 0 with it


class DetectabilityLoss(Loss):
    """2·(1 − AUC) of a channelized Hotelling observer (CHO) on the denoised regions; 1 is chance.

    With channel outputs v = Uᵀf, class means m₁ and m₀ and class covariances K₁ and K₀,

        d² = (m₁ − m₀)ᵀ S⁻¹ (m₁ − m₀),    S = ½ (K₁ + K₀) + ridge · diag + σ² I,    AUC = Φ(d/√2),

    exact for Gaussian channel outputs of equal covariance. The observer has no weights of its own to learn: for every
    batch it is the best one, by a solve in float64. Of a batch alone, with n trials of each class and p channels, d² is
    too large by about 2p/n, and its gradient makes the denoiser fit the noise of that batch; so the moments are
    those of the batch and of about `memory` trials of each class before it, see `ClassMoments`, which makes it
    2p/(n + 2·memory). The loss does not change when all images are scaled together, but for σ.

    In evaluation mode, and under `torch.no_grad`, the moments are those of the batch alone: give many trials at once.

    Parameters
    ----------
    shape
        Height and width of the region, pixels.
    channel_matrix
        U, shape `(n_pixels, n_channels)`, from `taskct.observers.channels`; each channel is scaled to unit norm.
    internal_noise_hu
        σ, standard deviation of the internal noise of each channel of unit norm, HU, at least 0.
    ridge
        Added to the diagonal of ½ (K₁ + K₀) as a share of it, at least 0, so that nearly dependent channels do no harm.
    memory
        Trials of each class that are remembered, at least 0.

    Raises
    ------
    UserError
        If a setting is out of range.

    References
    ----------
    .. [1] Barrett & Myers, Foundations of Image Science, Wiley (2004), ch. 13 and 14: d² and its AUC.
    .. [2] Myers & Barrett, J. Opt. Soc. Am. A 4, 2447 (1987): channels.
       The use as a loss with remembered moments is ours.
    """

    channel_matrix: torch.Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        channel_matrix: NDArray[np.floating],
        *,
        internal_noise_hu: float = 0.0,
        ridge: float = 1e-3,
        memory: int = 1000,
    ) -> None:
        super().__init__()
        matrix = unit_channels(channel_matrix, shape)
        self.register_buffer("channel_matrix", torch.tensor(matrix))
        self.internal_noise_hu = CONDITIONS["internal_noise_hu"].check("internal_noise_hu", internal_noise_hu)
        self.ridge = RIDGE.check("ridge", ridge)
        self.moments = ClassMoments(matrix.shape[1], memory=memory)

    @classmethod
    def of(cls, scene: Scene) -> Self:  # noqa: D102 - as in Loss
        return cls(scene.shape, scene.channels(), internal_noise_hu=scene.internal_noise_hu)

    @torch.no_grad()
    def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        self.moments.remember(self.outputs(denoised), batch.signal_present)

    def outputs(self, image_hu: torch.Tensor) -> torch.Tensor:
        """Channel outputs v = Uᵀf, float64, HU, shape `(n, n_channels)`."""
        if image_hu[0].numel() != len(self.channel_matrix):
            raise ValueError(
                f"regions are {tuple(image_hu.shape[1:])} but the channels have {len(self.channel_matrix)} pixels"
            )
        return image_hu.flatten(1).double() @ self.channel_matrix

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        with torch.autocast(denoised.device.type, enabled=False):
            mean, covariance = self.moments(self.outputs(denoised), batch.signal_present)
            covariance = 0.5 * covariance.sum(dim=0)
            rounding = (_ROUNDING * mean.detach().abs().max()).square()
            if bool((covariance.detach().diagonal() + self.internal_noise_hu**2 <= rounding).any()):
                raise UserError(
                    "a channel's output is the same in all trials: the denoiser has collapsed, or the channel sees "
                    "nothing of the region; lower the learning rate, or give other channels"
                )
            d2 = detectability2(mean[1] - mean[0], covariance, noise_std=self.internal_noise_hu, ridge=self.ridge)
            return torch.erfc(torch.sqrt(d2 + _TINY) / 2.0).to(denoised)  # 2Φ(−d/√2)


def detectability2(
    difference: torch.Tensor, covariance: torch.Tensor, *, noise_std: float = 0.0, ridge: float = 0.0
) -> torch.Tensor:
    """d² = ΔᵀS⁻¹Δ with S = K + ridge · diag(K) + σ² I; gradients flow through both arguments.

    Δ, `(n,)`, is the difference of the class means, K, `(n, n)`, their covariance, both float64; σ is of the unit of Δ.
    A `UserError` if S is not positive definite. Values that are not finite give nan, for a training loop to see.

    Examples
    --------
    >>> float(detectability2(torch.tensor([1.0, 2.0]).double(), torch.diag(torch.tensor([1.0, 4.0]).double())))
    2.0
    """
    matrix = covariance + ridge * torch.diag(covariance.diagonal())
    matrix = matrix + noise_std**2 * torch.eye(len(difference), dtype=matrix.dtype, device=matrix.device)
    if not bool(torch.isfinite(matrix).all()):
        return (difference * math.nan).sum()
    # Scaled to a unit diagonal, so that the units of a channel do not decide what counts as singular.
    size = matrix.detach().diagonal().clamp(min=0.0).sqrt()
    size = torch.where(size > 0.0, size, 1.0)
    factor, failed = torch.linalg.cholesky_ex(matrix / (size[:, None] * size))
    if bool(failed):
        raise UserError(
            f"the covariance of {len(difference)} channels is singular: channels depend on each other, or trials are "
            "too few; give fewer channels, larger batches, a ridge or internal noise"
        )
    half = torch.linalg.solve_triangular(factor, (difference / size)[:, None], upper=False)
    d2: torch.Tensor = half.square().sum()
    return d2
