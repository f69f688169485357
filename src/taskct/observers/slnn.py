"""The single-layer neural-network numerical observer (SLNN-NO), fitted afresh; `slnn_head` has it as a head."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit

from taskct.errors import UserError
from taskct.observers.base import Array, PathObserver, TrainingTrials, Truth, warn_if_few
from taskct.observers.solve import FROM_SIZE, SingleFactor, conjugate_gradients
from taskct.ranges import Range, Ranges

_MAX_STEPS = 200
_TOLERANCE = 1e-7
"""Of the last Newton step, relative to the logits; what is left after it is of the order of its square."""
_STEP_TOLERANCE = 1e-3
"""Of a step that conjugate gradients solve; what is left of the last one is this share of `_TOLERANCE`."""


@dataclass(kw_only=True, eq=False, repr=False)
class SLNN(PathObserver):
    """Single-layer neural network fitted afresh: logistic regression with an L2 penalty.

    Minimises mean BCE + ½ · weight_decay · ‖w‖² over w and an unpenalised bias, with w acting on images less their mean
    image and divided by their overall standard deviation. The problem is convex, so Newton's method finds the one
    minimum; with no more trials than pixels it works in the space of the trials. The test statistic is the logit.

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
    ranges: ClassVar[Ranges] = {"weight_decay": Range(0.0, open_low=True, meaning="trials can be separable")}

    weight_decay: float = 0.25

    @classmethod
    def _fit_together(cls, observers: Sequence["SLNN"], trials: TrainingTrials) -> None:
        shape, n_trials, n_pixels = trials.images.shape[1:], len(trials), trials.images[0].size
        warn_if_few(n_trials, n_pixels, "pixels", trials_per_weight=1.0)
        weight_decays = [o.weight_decay for o in observers]
        mean = trials.pixels.mean(axis=0)
        if n_trials <= n_pixels:
            gram = _centred_gram(trials, mean)
            scale = math.sqrt(float(np.trace(gram)) / gram.shape[0] / n_pixels)
            gram /= scale**2
            solutions = [
                ((coefficients @ trials.pixels - coefficients.sum() * mean) / scale, bias)
                for coefficients, bias in _path(gram, trials.signal_present, weight_decays, dual=True)
            ]
        else:
            centred = trials.pixels - mean
            scale = float(np.sqrt(np.mean(centred**2)))
            solutions = logistic_path(centred / scale, trials.signal_present, weight_decays)
        for observer, (weights, bias) in zip(observers, solutions, strict=True):
            template = weights / scale
            observer.template_ = template.reshape(shape)
            observer.offset_ = bias - float(template @ mean)


def _centred_gram(trials: TrainingTrials, mean: Array) -> Array:
    """Inner products of the trials less their mean, from those of the residuals about the class means."""
    # A trial is its residual r and its class's shift s: ⟨r + s, r' + s'⟩ is ⟨r, r'⟩ and a matrix of rank 4.
    in_class = np.stack([trials.signal_present, ~trials.signal_present]).astype(np.float64)
    shift = trials.class_means - mean
    cross = trials.residuals @ shift.T
    gram = np.hstack([cross, in_class.T]) @ np.vstack([in_class, cross.T + shift @ shift.T @ in_class])
    gram += trials.gram
    return gram


def logistic_path(features: Array, labels: Truth, weight_decays: Sequence[float]) -> list[tuple[Array, float]]:
    """Minimise mean BCE(Xw + b) + ½ λ ‖w‖² for several λ > 0: weights `(n_features,)` and bias for each.

    The strongest comes first, each starts from the last. X is `(n_trials, n_features)`.
    """
    n_trials, n_features = features.shape
    if n_trials <= n_features:
        path = _path(features @ features.T, labels, weight_decays, dual=True)
        return [(features.T @ coefficients, bias) for coefficients, bias in path]
    return _path(features, labels, weight_decays, dual=False)


def _path(design: Array, labels: Truth, weight_decays: Sequence[float], *, dual: bool) -> list[tuple[Array, float]]:
    """As `logistic_path`; dual: from the Gram matrix XXᵀ, and coefficients a of w = Xᵀa, which sum to 0.

    The logits are then XXᵀa + b and ‖w‖² is aᵀXXᵀa, so nothing else is needed.
    """
    coefficients, bias = np.zeros(design.shape[1]), 0.0
    solutions = {}
    for weight_decay in sorted(set(weight_decays), reverse=True):
        step = _DualStep() if dual else _primal_step
        try:
            coefficients, bias = _newton(design, labels, weight_decay, dual, step, coefficients, bias)
        except LinAlgError:
            raise UserError(
                f"weight_decay is {weight_decay:g}, which rounding swallows in these {len(labels)} trials; raise it"
            ) from None
        solutions[weight_decay] = coefficients, bias
    return [solutions[weight_decay] for weight_decay in weight_decays]


_Step = Callable[[Array, Array, Array, float, Array], tuple[Array, float]]


def _newton(
    design: Array, labels: Truth, weight_decay: float, dual: bool, step: _Step, coefficients: Array, bias: float
) -> tuple[Array, float]:
    """Newton's method with step halving: each step is a weighted ridge regression."""

    def evaluate(coefficients: Array, bias: float) -> tuple[Array, float]:
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
        target, target_bias = step(design, curvature, response, len(labels) * weight_decay, coefficients)
        fraction = 1.0
        while True:
            trial = coefficients + fraction * (target - coefficients)
            trial_bias = bias + fraction * (target_bias - bias)
            trial_logits, trial_loss = evaluate(trial, trial_bias)
            if trial_loss <= loss * (1.0 + 1e-12):
                break
            fraction /= 2.0
            if fraction < 1e-9:
                raise UserError(f"the SLNN with weight_decay {weight_decay} found no way down; raise it")
        change = float(np.max(np.abs(trial_logits - logits)))
        coefficients, bias, logits, loss = trial, trial_bias, trial_logits, trial_loss
        if fraction == 1.0 and change < _TOLERANCE * (1.0 + float(np.max(np.abs(logits)))):
            return coefficients, bias
    raise UserError(f"the SLNN with weight_decay {weight_decay} did not converge in {_MAX_STEPS} steps; raise it")


class _DualStep:
    """Solve (G + load · W⁻¹) a = z − b with Σa = 0; W is the curvature, Wz the response.

    The steps of one strength differ in W alone, and not by much: conjugate gradients solve them all with the factor
    of the first one.
    """

    def __init__(self) -> None:
        self._factor: SingleFactor | None = None
        self._direct = False

    def __call__(
        self, gram: Array, curvature: Array, response: Array, load: float, start: Array
    ) -> tuple[Array, float]:
        if len(gram) >= FROM_SIZE and not self._direct:
            diagonal = load / curvature
            try:
                if self._factor is None:
                    self._factor = SingleFactor(gram, diagonal)
            except LinAlgError:  # in single precision; double may yet do
                self._direct = True
                return _dual_step(gram, curvature, response, load)
            residual = response / curvature - gram @ start - diagonal * start
            change = conjugate_gradients(
                gram, diagonal, residual, self._factor.solve, tolerance=_STEP_TOLERANCE, centred=True
            )
            if change is not None:
                bias = float(np.mean(residual - gram @ change - diagonal * change))
                return start + change, bias
            self._direct = True
        return _dual_step(gram, curvature, response, load)


def _dual_step(gram: Array, curvature: Array, response: Array, load: float) -> tuple[Array, float]:
    """Solve as `_DualStep` does, by a factor in double precision."""
    root = np.sqrt(curvature)
    matrix = root[:, None] * gram * root
    matrix.flat[:: len(matrix) + 1] += load
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    of_response = root * cho_solve(factor, response / root)
    of_ones = root * cho_solve(factor, root)
    bias = float(of_response.sum() / of_ones.sum())
    return of_response - bias * of_ones, bias


def _primal_step(features: Array, curvature: Array, response: Array, load: float, _start: Array) -> tuple[Array, float]:
    """Solve (XᵀWX + load · I) w = XᵀWz for features centred with the weights W, and the bias with it."""
    mean = curvature @ features / curvature.sum()
    centred = features - mean
    matrix = (centred * curvature[:, None]).T @ centred
    matrix.flat[:: len(matrix) + 1] += load
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve(factor, centred.T @ response)
    return weights, float(response.sum() / curvature.sum() - mean @ weights)
