"""The channelized Hotelling observer, and its AUC over random splits of trials in channel space."""

import math
from collections.abc import Callable
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observer_registry import conditions
from taskct.observers.base import Array, LinearObserver, Truth, check_images, warn_if_few
from taskct.observers.channels import (
    dense_dog,
    gabor,
    laguerre_gauss,
    partial_least_squares,
    principal_components,
    sparse_dog,
)
from taskct.ranges import Range, Ranges, check_ranges

_FIXED: dict[str, Callable[..., Array]] = {
    "lg": laguerre_gauss,
    "gabor": gabor,
    "sparse-dog": sparse_dog,
    "dense-dog": dense_dog,
}
_LEARNED: dict[str, Callable[..., Array]] = {"pca": principal_components, "pls": partial_least_squares}
_TRIALS_PER_CHANNEL = 20.0
_DEPENDENT = 1e-8  # relative distance of a channel from the span of others that counts as none
_SINGULAR = 1e-10  # the same, of its outputs
_ROUNDING = 1e-12  # standard deviation of a channel's outputs, relative to the largest, that is but rounding


class ChannelizedHotelling(LinearObserver):
    """Channelized Hotelling observer (CHO): the Hotelling observer on the outputs of a few channels [1], [2].

    With channel outputs v = Uᵀ g, w = K⁻¹ Δ: K is the mean of the two classes' covariances of v, Δ the difference of
    their means. The test statistic wᵀ v is 0 halfway between the class means, plus a draw of the internal noise.

    Parameters
    ----------
    channels
        "lg", "gabor", "sparse-dog", "dense-dog", "pca", "pls", or a `channel_matrix` of shape `(n_pixels, n_channels)`;
        see `taskct.observers.channels`. PCA and PLS channels are learned from the training trials.
    internal_noise, seed
        Standard deviation of the internal noise, relative to that of the external test statistic within a class, at
        least 0: Gaussian test statistics of a given SNR² then have SNR²/(1 + internal_noise²). And its seed.
    **settings
        For the function that makes the channels, such as `n_channels`, `centre` or `n_orientations`, with its
        defaults. A `width_px` that is left out is a fifth of the image's smaller side: the 10 channels then just
        fill the image and serve a wide range of signal sizes.

    Attributes
    ----------
    channel_matrix_, channel_template_
        U, shape `(n_pixels, n_channels)`, and w, shape `(n_channels,)`; `template_` is U w.
    snr_
        √(Δᵀ K⁻¹ Δ) of the training trials, without internal noise; too high, the more so the fewer they are.
    internal_std_
        `internal_noise · snr_`: wᵀ K w, the external variance as training saw it, is `snr_`².

    Notes
    -----
    The observer depends on the span of its channels alone. In images of few pixels, channels of a fixed form can depend
    on each other; what adds nothing is left out, with a weight of 0. In a matrix of your own that is an error.

    Fewer than 20 training trials for each channel draw a `SmallSampleWarning`. With 20, the expected AUC on new trials
    is 0.036, 0.024 and 0.016 below that of endless training where the latter is 0.65, 0.76 and 0.85 (from SNR⁴/(SNR² +
    4p/N) · (1 − p/N), and simulated); 0.01 takes about 50. Learned channels need more, since they fit the noise of the
    trials too.

    References
    ----------
    .. [1] Myers & Barrett, J. Opt. Soc. Am. A 4, 2447 (1987).
    .. [2] Barrett & Myers, Foundations of Image Science, Wiley (2004), ch. 14.
    """

    ranges: ClassVar[Ranges] = conditions("internal_noise", "seed")
    channel_matrix_: NDArray[np.float64]
    channel_template_: NDArray[np.float64]
    snr_: float

    def __init__(
        self,
        *,
        channels: str | NDArray[np.floating] = "lg",
        internal_noise: float = 0.0,
        seed: int = 0,
        **settings: Any,  # noqa: ANN401 - each kind of channels names its own
    ) -> None:
        self.channels: str | Array
        if isinstance(channels, str):
            self.channels = channels.replace("_", "-")
            if self.channels not in {**_FIXED, **_LEARNED}:
                raise UserError(
                    f"unknown channels {channels!r}; give {', '.join([*_FIXED, *_LEARNED])} or a channel matrix"
                )
        else:
            self.channels = matrix = np.ascontiguousarray(channels, dtype=np.float64)
            if matrix.ndim != 2 or 0 in matrix.shape or not np.isfinite(matrix).all():
                raise UserError(
                    f"a channel matrix must be finite and of shape (n_pixels, n_channels), not {matrix.shape}"
                )
            if settings:
                raise TypeError(f"a channel matrix takes no settings, not {', '.join(settings)}")
        self.settings = settings
        self.internal_noise = self.checked("internal_noise", internal_noise)
        self.seed = int(self.checked("seed", seed))
        # A wrong setting shows here, not after the images have been made.
        if isinstance(self.channels, str):
            if self.channels in _FIXED:
                self._fixed_channels((2, 2))
            else:
                signature(_LEARNED[self.channels]).bind(None, None, **settings)

    def _fixed_channels(self, shape: tuple[int, int]) -> Array:
        own = {"width_px": min(shape) / 5.0} if self.channels == "lg" else {}
        return _FIXED[str(self.channels)](shape, **own | self.settings)

    def fixed_basis(self, shape: tuple[int, int]) -> Array | None:
        """Orthonormal basis of the channels in images of a shape, `(n_pixels, rank)`; None if they are learned."""
        if isinstance(self.channels, str):
            return _independent(self._fixed_channels(shape))[0] if self.channels in _FIXED else None
        return _independent(self.channels)[0]

    def _channel_matrix(self, images: Array, signal_present: Truth) -> Array:
        height, width = images.shape[1:]
        if isinstance(self.channels, str):
            if self.channels in _FIXED:
                return self._fixed_channels((height, width))
            return _LEARNED[self.channels](images, signal_present, **self.settings)
        if len(self.channels) != height * width:
            raise UserError(f"the channels have {len(self.channels)} pixels but the images {height * width}")
        return self.channels

    def _learn(self, images: Array, signal_present: Truth) -> None:
        matrix = self._channel_matrix(images, signal_present)
        basis, combination = _independent(matrix)
        rank = basis.shape[1]
        if rank < matrix.shape[1] and not isinstance(self.channels, str):
            raise UserError(
                f"only {rank} of the {matrix.shape[1]} channels are linearly independent; leave out those that are "
                "zero, repeated or a combination of others"
            )
        outputs = images.reshape(len(images), -1) @ basis
        weights, difference, midpoint = _hotelling(outputs, signal_present)
        if isinstance(self.channels, str) and self.channels in _LEARNED:  # they have to be found among all pixels first
            warn_if_few(len(images), images[0].size, "pixels", trials_per_weight=1.0)
        else:
            warn_if_few(len(images), rank, "channels", trials_per_weight=_TRIALS_PER_CHANNEL)
        self.channel_matrix_ = matrix
        self.channel_template_ = combination @ weights
        self.template_ = (basis @ weights).reshape(images.shape[1:])
        self.offset_ = -float(weights @ midpoint)
        self.snr_ = math.sqrt(float(weights @ difference))
        self.internal_std_ = self.internal_noise * self.snr_


def channel_outputs(images: NDArray[np.floating], channel_matrix: NDArray[np.floating]) -> Array:
    """What channels pass on of every image, v = Uᵀ g, shape `(n_trials, n_channels)`; U is `(n_pixels, n_channels)`."""
    images = np.asarray(images)
    n_pixels = math.prod(images.shape[1:])
    if len(channel_matrix) != n_pixels:
        raise UserError(f"the channels have {len(channel_matrix)} pixels but the images {n_pixels}")
    return check_images(images).reshape(len(images), n_pixels) @ np.asarray(channel_matrix, dtype=np.float64)


SPLIT_RANGES = {"n_splits": Range(1, whole=True), "train_fraction": Range(0.0, 1.0, open_low=True, open_high=True)}


def split_aucs(
    channel_outputs: NDArray[np.floating],
    signal_present: Truth,
    *,
    n_splits: int = 10,
    train_fraction: float = 0.5,
    seed: int = 0,
) -> Array:
    """AUC of a channelized Hotelling observer over random splits into training and test trials, shape `(n_splits,)`.

    The images are channelized once, by `channel_outputs`; a split costs little. `train_fraction` of each class is
    trained on, and at least 2 trials, as are left to test on. Right for channels of a fixed form: channels learned from
    these very trials (PCA, PLS) have seen the test trials. The splits share trials, so their spread is no standard
    error.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal_present = np.arange(400) % 2 == 0
    >>> outputs = rng.standard_normal((400, 5)) + 0.6 * signal_present[:, None]
    >>> bool(0.7 < split_aucs(outputs, signal_present).mean() < 0.9)  # 0.83 with endless training
    True
    """
    outputs = np.asarray(channel_outputs, dtype=np.float64)
    signal_present = np.asarray(signal_present)
    if outputs.ndim != 2 or signal_present.shape != outputs.shape[:1] or signal_present.dtype != np.bool_:
        raise ValueError(
            f"channel outputs of shape {outputs.shape} and {signal_present.dtype} truth of shape "
            f"{signal_present.shape}; wanted (n_trials, n_channels) and bool (n_trials,)"
        )
    if not np.isfinite(outputs).all():
        raise ValueError("a channel output is not finite")
    check_ranges(SPLIT_RANGES, n_splits=n_splits, train_fraction=train_fraction)
    classes = np.flatnonzero(signal_present), np.flatnonzero(~signal_present)
    sizes = [max(2, round(train_fraction * len(trials))) for trials in classes]
    if any(len(trials) < size + 2 for trials, size in zip(classes, sizes, strict=True)):
        raise UserError(
            f"{len(classes[0])} signal-present and {len(classes[1])} signal-absent trials are too few to train on "
            f"{sizes[0]} and {sizes[1]} and test on the rest"
        )
    rng = np.random.default_rng(seed)
    aucs = np.empty(n_splits)
    for i in range(n_splits):
        present, absent = (rng.permutation(trials) for trials in classes)
        train = np.concatenate([present[: sizes[0]], absent[: sizes[1]]])
        weights, _, _ = _hotelling(outputs[train], signal_present[train])
        present, absent = outputs[present[sizes[0] :]], outputs[absent[sizes[1] :]]
        aucs[i] = auc(present @ weights, absent @ weights)
    warn_if_few(sum(sizes), outputs.shape[1], "channels", trials_per_weight=_TRIALS_PER_CHANNEL)
    return aucs


def _independent(matrix: Array) -> tuple[Array, Array]:
    """Orthonormal basis of the channels, `(n_pixels, rank)`, and C of `matrix @ C = basis`, 0 for what is left out."""
    size = np.linalg.norm(matrix, axis=0)
    size[size == 0.0] = 1.0
    basis, factor, order = qr(matrix / size, mode="economic", pivoting=True, check_finite=False)
    distance = np.abs(factor.diagonal())
    rank = int(np.sum(distance > _DEPENDENT * distance[0]))
    if rank == 0:
        raise UserError("all channels are zero in images of this size")
    chosen = order[:rank]
    combination = np.zeros((matrix.shape[1], rank))
    combination[chosen] = solve_triangular(factor[:rank, :rank], np.eye(rank)) / size[chosen, None]
    return basis[:, :rank], combination


def _hotelling(outputs: Array, signal_present: Truth) -> tuple[Array, Array, Array]:
    """K⁻¹ Δ, Δ and the midpoint of the class means; K is never formed, which would lose half the digits."""
    n_trials, n_channels = outputs.shape
    if n_trials < n_channels + 2:
        raise UserError(
            f"{n_channels} channels need at least {n_channels + 2} training trials and there are {n_trials}; "
            "give fewer channels or more trials"
        )
    residuals, means = [], []
    for members in (signal_present, ~signal_present):
        means.append(outputs[members].mean(axis=0))
        residuals.append((outputs[members] - means[-1]) / math.sqrt(2.0 * (members.sum() - 1)))
    together = np.concatenate(residuals)  # Z, with ZᵀZ = K
    difference, midpoint = means[0] - means[1], (means[0] + means[1]) / 2.0
    size = np.linalg.norm(together, axis=0)
    factor = np.linalg.qr(together / np.where(size > 0.0, size, 1.0)).R
    constant = size <= _ROUNDING * np.abs(outputs).max(axis=0)
    if constant.any() or np.abs(factor.diagonal()).min() <= _SINGULAR:
        raise UserError(
            f"the covariance of {n_channels} channels from {n_trials} trials is singular; leave out channels whose "
            "output is the same in all trials of a class or a combination of others"
        )
    half = solve_triangular(factor, difference / size, trans="T")
    return solve_triangular(factor, half) / size, difference, midpoint
