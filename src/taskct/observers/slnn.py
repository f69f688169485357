"""The single-layer neural-network numerical observer (SLNN-NO), fitted afresh or as a head in training."""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from torch import nn

from taskct.errors import UserError
from taskct.observers.base import PathObserver, check_at_least_0, check_images, warn_if_few
from taskct.observers.eye import VIEWING_DISTANCE_MM, apply_eye_filter, eye_filter

_MAX_STEPS = 200
_TOLERANCE = 1e-7
"""Of the last Newton step, relative to the logits; what is left after it is of the order of its square."""


class SLNN(PathObserver):
    """Single-layer neural network fitted afresh: logistic regression with an L2 penalty.

    Minimises mean BCE + ½ · weight_decay · ‖w‖² over w and an unpenalised bias, with w acting on images less
    their mean image and divided by their overall standard deviation. The problem is convex, so Newton's
    method finds the one minimum; with no more trials than pixels it works in the space of the trials. The
    test statistic is the logit.

    Parameters
    ----------
    weight_decay
        No unit, above 0. For a weak signal it regularises as Hotelling's `ridge` of 4 × `weight_decay` does.

    Attributes
    ----------
    template_
        1/HU, shape `(height, width)`.

    References
    ----------
    .. [1] Li, Zhou, Li, Anastasio, IEEE Trans. Med. Imaging 40, 2295 (2021).
    .. [2] Rasmussen & Williams, Gaussian Processes for Machine Learning, MIT Press (2006), §3.4: the step.
    """

    path_parameter: ClassVar[str] = "weight_decay"

    def __init__(self, *, weight_decay: float = 0.25) -> None:
        self.weight_decay = check_at_least_0("weight_decay", weight_decay)

    @classmethod
    def _fit_together(
        cls, observers: Sequence["SLNN"], images: NDArray[np.float64], signal_present: NDArray[np.bool_]
    ) -> None:
        if any(o.weight_decay == 0.0 for o in observers):
            raise UserError("weight_decay is 0; the SLNN needs it above 0, since trials can be separable")
        warn_if_few(len(images), images[0].size, "pixels", trials_per_weight=1.0)
        pixels = images.reshape(len(images), -1)
        mean = pixels.mean(axis=0)
        scale = float(np.sqrt(np.mean((pixels - mean) ** 2)))
        solutions = logistic_path((pixels - mean) / scale, signal_present, [o.weight_decay for o in observers])
        for observer, (weights, bias) in zip(observers, solutions, strict=True):
            template = weights / scale
            observer.template_ = template.reshape(images.shape[1:])
            observer.offset_ = bias - float(template @ mean)


def logistic_path(
    features: NDArray[np.float64], labels: NDArray[np.bool_], weight_decays: Sequence[float]
) -> list[tuple[NDArray[np.float64], float]]:
    """Logistic regressions with an L2 penalty for several strengths.

    The strongest comes first and each starts from the one before it.

    Parameters
    ----------
    features
        X, shape `(n_trials, n_features)`.
    labels
        Bool, shape `(n_trials,)`.
    weight_decays
        λ of mean BCE(Xw + b) + ½ λ ‖w‖², each above 0.

    Returns
    -------
    Weights, shape `(n_features,)`, and bias, for each strength in the order given.

    Raises
    ------
    RuntimeError
        If Newton's method does not converge.
    """
    n_trials, n_features = features.shape
    dual = n_trials <= n_features
    # With w = Xᵀa the logits are XXᵀa + b and ‖w‖² is aᵀXXᵀa, so only the Gram matrix is needed.
    design = features @ features.T if dual else features
    step = _dual_step if dual else _primal_step
    coefficients, bias = np.zeros(design.shape[1]), 0.0
    solutions = {}
    for weight_decay in sorted(set(weight_decays), reverse=True):
        coefficients, bias = _newton(design, labels, weight_decay, dual, step, coefficients, bias)
        solutions[weight_decay] = (features.T @ coefficients if dual else coefficients, bias)
    return [solutions[weight_decay] for weight_decay in weight_decays]


_Step = Callable[
    [NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float], tuple[NDArray[np.float64], float]
]


def _newton(
    design: NDArray[np.float64],
    labels: NDArray[np.bool_],
    weight_decay: float,
    dual: bool,
    step: _Step,
    coefficients: NDArray[np.float64],
    bias: float,
) -> tuple[NDArray[np.float64], float]:
    """Newton's method with step halving: each step is a weighted ridge regression."""

    def evaluate(coefficients: NDArray[np.float64], bias: float) -> tuple[NDArray[np.float64], float]:
        product = design @ coefficients
        logits = product + bias
        norm2 = float(coefficients @ (product if dual else coefficients))
        bce = float(np.mean(np.logaddexp(0.0, np.where(labels, -logits, logits))))
        return logits, bce + 0.5 * weight_decay * norm2

    logits, loss = evaluate(coefficients, bias)
    for _ in range(_MAX_STEPS):
        probability = expit(logits)
        curvature = np.maximum(probability * (1.0 - probability), 1e-12)
        response = curvature * logits + labels - probability
        target, target_bias = step(design, curvature, response, len(labels) * weight_decay)
        fraction = 1.0
        while True:
            trial = coefficients + fraction * (target - coefficients)
            trial_bias = bias + fraction * (target_bias - bias)
            trial_logits, trial_loss = evaluate(trial, trial_bias)
            if trial_loss <= loss * (1.0 + 1e-12):
                break
            fraction /= 2.0
            if fraction < 1e-9:
                raise RuntimeError(f"the SLNN with weight_decay {weight_decay} found no way down; raise it")
        change = float(np.max(np.abs(trial_logits - logits)))
        coefficients, bias, logits, loss = trial, trial_bias, trial_logits, trial_loss
        if fraction == 1.0 and change < _TOLERANCE * (1.0 + float(np.max(np.abs(logits)))):
            return coefficients, bias
    raise RuntimeError(f"the SLNN with weight_decay {weight_decay} did not converge in {_MAX_STEPS} steps; raise it")


def _dual_step(
    gram: NDArray[np.float64], curvature: NDArray[np.float64], response: NDArray[np.float64], load: float
) -> tuple[NDArray[np.float64], float]:
    """Solve (G + load · W⁻¹) a = z − b with Σa = 0; W is the curvature, Wz the response."""
    root = np.sqrt(curvature)
    matrix = root[:, None] * gram * root
    matrix.flat[:: len(matrix) + 1] += load
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    of_response = root * cho_solve(factor, response / root)
    of_ones = root * cho_solve(factor, root)
    bias = float(of_response.sum() / of_ones.sum())
    return of_response - bias * of_ones, bias


def _primal_step(
    features: NDArray[np.float64], curvature: NDArray[np.float64], response: NDArray[np.float64], load: float
) -> tuple[NDArray[np.float64], float]:
    """Solve (XᵀWX + load · I) w = XᵀWz for features centred with the weights W, and the bias with it."""
    mean = curvature @ features / curvature.sum()
    centred = features - mean
    matrix = (centred * curvature[:, None]).T @ centred
    matrix.flat[:: len(matrix) + 1] += load
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve(factor, centred.T @ response)
    return weights, float(response.sum() / curvature.sum() - mean @ weights)


class SLNNHead(nn.Module):
    """The SLNN-NO as a head that is trained jointly with a denoiser: one fully connected layer on the region.

    The logit is the test statistic. `kind="pixel"` is the paper's. `kind="eye"` puts an eye filter E and
    white internal noise before the layer: in training mode the noise is drawn on every pixel; in evaluation
    mode `forward` is free of noise and `test_statistic` adds it. The weights start at 0.

    Inside, images are standardised and divided by √(number of pixels), so that a step of an optimiser moves
    the logit about as much as a step in a convolution does. All of it is float32, under autocast too.

    Parameters
    ----------
    shape
        Height and width of the region, pixels.
    kind
        `"pixel"` or `"eye"`.
    offset_hu
        Subtracted from every image, HU: one value or a mean image, shape `(height, width)`.
    scale_hu
        Typical standard deviation of the images around `offset_hu`, HU, above 0.
    pixel_mm, viewing_distance_mm, magnification
        Of the eye, as for `taskct.observers.eye.eye_filter`; `pixel_mm` is needed for `kind="eye"` alone.
    internal_noise_hu
        Standard deviation per pixel behind the eye, HU, at least 0; for `kind="eye"` alone.

    Raises
    ------
    UserError
        If a setting is out of range.

    References
    ----------
    .. [1] Li, Li, Anastasio, Proc. SPIE Medical Imaging (2022); arXiv 2211.13303.

    Examples
    --------
    >>> head = SLNNHead((8, 8), offset_hu=40.0, scale_hu=20.0)
    >>> head(torch.full((3, 8, 8), 40.0)).shape
    torch.Size([3])
    """

    offset_hu: torch.Tensor
    scale_hu: torch.Tensor
    internal_noise_hu: torch.Tensor
    response: torch.Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        kind: Literal["pixel", "eye"] = "pixel",
        offset_hu: float | NDArray[np.floating] | torch.Tensor = 0.0,
        scale_hu: float = 1.0,
        pixel_mm: float | None = None,
        internal_noise_hu: float = 0.0,
        viewing_distance_mm: float = VIEWING_DISTANCE_MM,
        magnification: float = 1.0,
    ) -> None:
        super().__init__()
        if kind not in ("pixel", "eye"):
            raise UserError(f"kind of the SLNN head is {kind!r}; it must be 'pixel' or 'eye'")
        if not 0.0 < scale_hu < float("inf"):
            raise UserError(f"scale_hu is {scale_hu}; it must be finite and above 0 HU")
        self.kind = kind
        self.weight = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(()))
        offset = torch.as_tensor(offset_hu, dtype=torch.float32)
        self.register_buffer("offset_hu", offset.expand(shape).clone())
        self.register_buffer("scale_hu", torch.tensor(float(scale_hu)))
        if kind == "eye":
            if pixel_mm is None:
                raise UserError("an SLNN head of kind 'eye' needs pixel_mm, the pixel size in mm")
            response = eye_filter(
                shape,
                pixel_mm=pixel_mm,
                viewing_distance_mm=viewing_distance_mm,
                magnification=magnification,
            )
            noise = check_at_least_0("internal_noise_hu", internal_noise_hu, "HU")
            self.register_buffer("response", torch.as_tensor(response, dtype=torch.float32))
            self.register_buffer("internal_noise_hu", torch.tensor(noise))
        elif internal_noise_hu != 0.0:
            raise UserError("internal_noise_hu is for an SLNN head of kind 'eye'; leave it at 0 for 'pixel'")

    @property
    def layer(self) -> torch.Tensor:
        """Weights of the layer, behind the eye if there is one, 1/HU, shape `(height, width)`."""
        return self.weight / (self.scale_hu * math.sqrt(self.weight.numel()))

    @property
    def template(self) -> torch.Tensor:
        """Effective template on the image, 1/HU, shape `(height, width)`; E w behind an eye."""
        return apply_eye_filter(self.layer, self.response) if self.kind == "eye" else self.layer

    def forward(self, image_hu: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Logit of every trial.

        Parameters
        ----------
        image_hu
            Regions, HU, shape `(n_trials, height, width)`.
        generator
            Of the internal noise; needed in training mode behind an eye.

        Returns
        -------
        Logits, float32, shape `(n_trials,)`; higher means signal present.

        Raises
        ------
        ValueError
            If the shape does not match, or the generator is missing.
        """
        if image_hu.ndim != 3 or image_hu.shape[1:] != self.weight.shape:
            raise ValueError(
                f"the head takes images of shape (n_trials, {', '.join(map(str, self.weight.shape))}), "
                f"not {tuple(image_hu.shape)}"
            )
        with torch.autocast(image_hu.device.type, enabled=False):  # the HU of a weak signal do not fit bfloat16
            # E is symmetric: filtering the template once does for filtering every image.
            centred = image_hu.float() - self.offset_hu
            logits = centred.flatten(1) @ self.template.flatten() + self.bias
            if self.kind == "eye" and self.training:
                if generator is None:
                    raise ValueError("an SLNN head behind an eye needs a generator for its noise in training")
                noise = torch.randn(image_hu.shape, generator=generator, device=generator.device).to(logits)
                logits = logits + self.internal_noise_hu * (noise.flatten(1) @ self.layer.flatten())
        return logits

    @torch.no_grad()
    def test_statistic(
        self, images: NDArray[np.floating] | torch.Tensor, generator: torch.Generator | None = None
    ) -> NDArray[np.float64]:
        """Test statistic of every trial, with internal noise behind an eye, whatever the mode.

        Parameters
        ----------
        images
            Regions, HU, shape `(n_trials, height, width)`.
        generator
            Of the internal noise N(0, σ²‖w‖²), w the layer's weights; needed behind an eye. Seed it alike in
            every arm of a study, so that trial i meets the same noise.

        Returns
        -------
        Test statistic, float64, shape `(n_trials,)`.

        Raises
        ------
        ValueError
            If the shape does not match, a value is not finite, or the generator is missing.
        """
        array = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images
        checked = torch.from_numpy(check_images(array, tuple(self.weight.shape)))
        template = self.template.double().cpu()
        offset = self.bias.double().cpu() - (template * self.offset_hu.double().cpu()).sum()
        statistic = checked.flatten(1) @ template.flatten() + offset
        if self.kind == "eye":
            if generator is None:
                raise ValueError("an SLNN head behind an eye needs a generator for its internal noise")
            noise = torch.randn(len(checked), generator=generator, device=generator.device).double().cpu()
            statistic = statistic + (self.internal_noise_hu * self.layer.norm()).double().cpu() * noise
        result: NDArray[np.float64] = statistic.numpy()
        return result
