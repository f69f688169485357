"""What a linear observer would do with any number of training trials, from few of them.

A template that is learned from n trials is a copy of the one that endless trials would give, and noise. Two errors make
the noise. That of the covariance shrinks like 1/n and is known without knowing the covariance: random-matrix theory
tells from the eigenvalues of the sample's alone how much of its SNR² a template keeps on new trials [1], [2]. That of
the mean signal is large where it is the difference of two class means; where every trial has a twin with the same
background and noise and the other truth, it is all but gone.

For p pixels, K̂ the covariance of n trials, R̂ = (K̂ + ρ)⁻¹, and R = (K + κ)⁻¹ of the true covariance, R̂ acts as c R with
c = κ/ρ and κ (1 − tr K R / n) = ρ: few trials regularise like a larger ridge κ, and c = 1/(1 − tr K̂ R̂ / n) is known.
So the ρ that acts like the ridge κ which is asked for can be found, and the SNR² is then that of this ridge in the
limit, times 1 − tr (K R)² / n = dρ/dκ.

References
----------
.. [1] Dobriban & Wager, Ann. Statist. 46, 247 (2018): regularised discriminant analysis for p and n of one order.
.. [2] Ledoit & Péché, Probab. Theory Relat. Fields 151, 233 (2011): functionals of a sample covariance.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import ndtri

from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observers.base import Array, LinearObserver, Observer, TrainingTrials, Truth, as_finite, check_images
from taskct.observers.channelized import ChannelizedHotelling
from taskct.observers.covariance import Moments
from taskct.observers.hotelling import Hotelling, HotellingEye, HotellingLedoitWolf
from taskct.observers.slnn import SLNN

LEAST_KEPT = 0.25
"""Share of the limit's SNR² that a template must keep for the limit to be told from it."""
_SIGNS = 16  # draws of the error of the mean signal
_HALVINGS = 60  # of the interval that holds ρ


@dataclass(frozen=True)
class MeanSignal:
    """Mean difference between present and absent, as an observer sees it, and draws of its error."""

    value: Array
    """HU, shape `(n_pixels,)`."""
    errors: Array | None
    """HU, shape `(n_draws, n_pixels)`; None where it is the difference of the class means of the trials themselves."""

    def seen(self, see: Callable[[Array], Array]) -> "MeanSignal":
        """As an observer sees it through a linear map of images, `(n, n_pixels)` each."""
        return MeanSignal(see(self.value[None])[0], None if self.errors is None else see(self.errors))

    @classmethod
    def of_pairs(cls, differences: Array) -> "MeanSignal":
        """Of trials and their twins, present less absent, `(n_trials, n_pixels)`; random signs draw the error."""
        n = len(differences)
        mean = differences.mean(axis=0)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(_SIGNS, n))
        return cls(mean, (signs @ differences - signs.sum(axis=1)[:, None] * mean) / n)


@dataclass(frozen=True)
class Learned:
    """A template learned from few trials, and how much of the limit's SNR² it keeps on new ones."""

    template: Array
    """As the observer sees the image, shape `(n_pixels,)`."""
    kept: float
    """Share of the limit's SNR², in (0, 1]."""
    kept_std: float
    """Standard deviation of this share over training sets."""
    external_variance: float
    """Of the test statistic on new trials, within the classes, without internal noise."""


class SeenTrials:
    """Training trials as an observer sees them, with what every strength of regularization needs of them."""

    def __init__(self, moments: Moments, signal: MeanSignal) -> None:
        self.moments = moments
        self.signal = signal
        # In single precision, which takes half the time; `_inverse` corrects what it gives in double.
        self.eigenvalues = moments.spectrum.values.copy()
        if moments.residuals is not None:
            self.eigenvalues[:2] = 0.0  # the sums of the residuals of both classes are 0
        right = [signal.value] if signal.errors is None else [signal.value, signal.errors]
        self._right = np.vstack(right)
        # By Woodbury where the work is done in the space of the trials.
        self._inner_right = self._right if moments.residuals is None else self._right @ moments.residuals.T

    def learned(self, loads: Sequence[float], *, noise_hu2: float = 0.0) -> list[Learned | None]:
        """Templates that act like those of some loads in the limit, and what they keep of the limit's SNR².

        Parameters
        ----------
        loads
            κ, HU², at least 0: what the covariance of endless trials would be loaded with.
        noise_hu2
            Variance per pixel of internal noise that the observer adds, HU²: that part of the load which is noise of
            the test statistic too.

        Returns
        -------
        For each load; None where so few trials regularise more than that by themselves.
        """
        found: list[Learned | None] = []
        for kappa in loads:
            rho = _sample_load(self.eigenvalues, self.moments.n_trials - 2, kappa)
            try:
                solved = None if rho is None else self._inverse(rho)
            except LinAlgError:  # a load that rounding swallows
                solved = None
            if rho is None or solved is None:
                found.append(None)
            else:
                found.append(_judged(self, self._right, solved, (kappa, rho, noise_hu2)))
        return found

    def _inverse(self, rho: float) -> Array:
        """(K̂ + ρ)⁻¹ of the mean signal and of its errors, `(1 + n_draws, n_pixels)`."""
        z, gram, spectrum = self.moments.residuals, self.moments.gram, self.moments.spectrum
        right = self._inner_right
        if spectrum.serves(rho):
            inner = spectrum.nearly(rho, right)
            for _ in range(2):  # what single precision left of the template; of its errors that does not matter
                inner[:1] += spectrum.nearly(rho, right[:1] - inner[:1] @ gram - rho * inner[:1])
        else:
            loaded = gram.copy()
            loaded.flat[:: len(loaded) + 1] += rho
            inner = cho_solve(cho_factor(loaded, lower=True, overwrite_a=True, check_finite=False), right.T).T
        return inner if z is None else (self._right - inner @ z) / rho


def _sample_load(values: Array, m: int, kappa: float) -> float | None:
    """The load of the sample covariance, from its eigenvalues, that acts like κ on the true one; None if there is none.

    `m` are the trials less the two class means.
    """

    def acts_like(rho: float) -> float:
        return rho / (1.0 - float(np.sum(values / (values + rho))) / m)

    if kappa == 0.0:
        return 0.0 if len(values) < m and values[0] > 1e-12 * values[-1] else None
    low, high = 1e-9 * kappa, kappa
    if not 0.0 < acts_like(low) <= kappa:
        return None
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if acts_like(middle) > kappa else (middle, high)
    return low


def _judged(seen: SeenTrials, right: Array, solved: Array, loads: tuple[float, float, float]) -> Learned:
    """What the first of the solutions R̂v keeps; the others are those of the errors of the mean signal."""
    kappa, rho, noise = loads
    moments, signal, values = seen.moments, seen.signal, seen.eigenvalues
    m = moments.n_trials - 2
    degrees = float(np.sum(values / (values + rho)))  # tr K R
    c = 1.0 / (1.0 - degrees / m)
    slope = c - rho * c**2 / m * float(np.sum(values / (values + rho) ** 2))  # dκ/dρ
    kept_degrees = m * (1.0 - 1.0 / slope)  # tr (K R)²
    inner = np.einsum("ij,ij->i", right, solved)  # vᵀR̂v
    norm2 = np.einsum("ij,ij->i", solved, solved)  # vᵀR̂²v
    external = c**2 * (inner - rho * norm2)  # vᵀR̂KR̂v: the sample's own vᵀR̂K̂R̂v is smaller by c²
    if signal.errors is None:
        # Its error is drawn from K (1/n₁ + 1/n₀), with four over n where the classes are of one size.
        share = 4.0 / moments.n_trials
        of_error = share * c**2 * kept_degrees * slope, share * c * degrees
        norm_of_error = share * (
            degrees / rho * (c - slope) + c * slope * (degrees - kept_degrees) / kappa if kappa else 0.0
        )
    else:
        of_error = float(external[1:].mean()), float(inner[1:].mean())
        norm_of_error = float(norm2[1:].mean())
    clean, clean_inner = float(external[0]) - of_error[0], float(inner[0]) - of_error[1]
    in_limit = clean / slope
    total = float(external[0])
    if noise:
        # R̂² is not c² R²: it follows from the derivative of R̂ by ρ.
        norm2_in_limit = (float(norm2[0]) - norm_of_error - clean_inner / (c * rho) * (c - slope)) / (c * slope)
        in_limit += noise * c**2 * max(norm2_in_limit, 0.0)
        total += noise * float(norm2[0])
    kept = float(np.clip(in_limit / total, 0.0, 1.0)) if total > 0.0 else 0.0
    lost = 1.0 - 1.0 / slope
    # cos² of the angle that a Wishart matrix turns the template by is a Beta variable; see `learning_law`.
    spread = float(np.sqrt(2.0 * lost / (1.0 - lost) / m)) * kept
    return Learned(solved[0], kept, spread, float(external[0]))


@dataclass(frozen=True)
class NearLimit:
    """An observer near its limit: its template, and what the template keeps of the limit's SNR²."""

    observer: LinearObserver
    """Fitted; its test statistics are those of the template, with the observer's internal noise."""
    kept: float
    """Share of the limit's SNR², in (0, 1]: Φ⁻¹(AUC) in the limit is that on new trials over √kept."""
    kept_std: float
    value: float | None
    """Regularization in the limit, chosen on validation trials; None for an observer without a choice."""


class LimitFitter:
    """Brings observers as near to their limit of many training trials as some trials allow.

    Parameters
    ----------
    trials
        Training trials.
    twins
        The same trials with the other truth, or the first of them, HU, `(n_twins, height, width)`; None where there are
        none.
    validation
        Images and truth of trials that choose the regularization in the limit.

    Notes
    -----
    The theory holds for many pixels and trials, whatever their ratio, and for trials whose fourth moments are bounded;
    AUC and SNR are taken to be tied by Φ⁻¹, as they are where test statistics are normal.
    """

    def __init__(
        self,
        trials: TrainingTrials,
        twins: NDArray[np.floating] | None,
        validation: tuple[NDArray[np.floating], Truth],
    ) -> None:
        shape = trials.images.shape[1:]
        self.trials = trials
        self.held_out, self.present = _flat(check_images(validation[0], shape)), validation[1]
        self.signal = None if twins is None else _mean_signal(trials, as_finite(twins, shape))
        self._seen: dict[str, SeenTrials] = {}

    def near_limit(self, observer: Observer, values: Sequence[float] = ()) -> NearLimit:
        """An observer, and one of several regularizations for it, near its limit.

        Parameters
        ----------
        observer
            A Hotelling observer with a ridge, behind an eye or not, or with Ledoit and Wolf's covariance; a channelized
            one whose channels are of a fixed form; or an SLNN, whose limit is that of a Hotelling observer with a ridge
            of four times its weight decay.
        values
            Regularizations to choose from, as the observer has them.

        Raises
        ------
        UserError
            If the observer is of another kind, or the trials are too few to say.
        """
        height, width = self.trials.images.shape[1:]
        view = _view(observer, (height, width))
        seen = self._as_seen(view)
        loads = view.loads(seen.moments.pixel_variance, values)
        best: tuple[float, Learned, float | None] | None = None
        most = 0.0
        for value, one in zip(values or (None,), seen.learned(loads, noise_hu2=view.noise_hu2), strict=True):
            most = max(most, 0.0 if one is None else one.kept)
            if one is None or one.kept < LEAST_KEPT:
                continue
            statistic = self.held_out @ view.template(one.template).ravel()
            if std := view.internal_std(one):
                statistic = statistic + std * np.random.default_rng(0).standard_normal(len(statistic))
            rated = float(ndtri(auc(statistic[self.present], statistic[~self.present]))) / np.sqrt(one.kept)
            if best is None or rated > best[0]:
                best = rated, one, value
        if best is None:
            advice = "give more trials" + ("" if self.signal is not None else ", or a task whose signals are known")
            raise UserError(
                f"a template of {len(self.trials)} training trials keeps {100 * most:.0f} % of the SNR² of one of "
                f"many, and its limit can be told from {100 * LEAST_KEPT:.0f} % upward: {advice}"
            )
        _, chosen, value = best
        fitted = copy.copy(observer)
        assert isinstance(fitted, LinearObserver)
        fitted.template_ = view.template(chosen.template)
        fitted.offset_ = 0.0
        fitted.internal_std_ = view.internal_std(chosen)
        return NearLimit(fitted, chosen.kept, chosen.kept_std, value)

    def _as_seen(self, view: "_View") -> SeenTrials:
        """Trials as one kind of observer sees them; made once for all of a kind."""
        if view.kind not in self._seen:
            moments = Moments.of_trials(view.trials(self.trials))
            moments.check_noise()
            shape = self.trials.images.shape[1:]

            def see(pixels: Array) -> Array:
                return view.seen(pixels.reshape(len(pixels), *shape))

            signal = MeanSignal(moments.difference, None) if self.signal is None else self.signal.seen(see)
            self._seen[view.kind] = SeenTrials(moments, signal)
        return self._seen[view.kind]


@dataclass(frozen=True)
class _View:
    """How an observer sees images, and which loads its candidates are."""

    kind: str  # the same where two observers see alike
    seen: Callable[[Array], Array]  # images `(n, height, width)` as pixels or channel outputs `(n, n_weights)`
    trials: Callable[[TrainingTrials], TrainingTrials]  # the same of training trials
    template: Callable[[Array], Array]  # weights as a template on the image
    loads: Callable[[float, Sequence[float]], Sequence[float]]  # of candidates, from the mean variance of a pixel
    internal_std: Callable[[Learned], float]
    noise_hu2: float = 0.0


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1)


def _same(trials: TrainingTrials) -> TrainingTrials:
    return trials


def _mean_signal(trials: TrainingTrials, twins: NDArray[np.floating]) -> MeanSignal:
    """From the first of the trials, as many as there are twins."""
    sign = np.where(trials.signal_present[: len(twins)], 1.0, -1.0)[:, None]
    return MeanSignal.of_pairs(sign * (trials.pixels[: len(twins)] - _flat(twins.astype(np.float64))))


@singledispatch
def _view(observer: Observer, shape: tuple[int, int]) -> _View:
    del shape
    raise UserError(f"no limit of many training trials is known of a {type(observer).__name__}")


@_view.register
def _(observer: Hotelling, shape: tuple[int, int]) -> _View:
    del observer

    def loads(variance: float, values: Sequence[float]) -> Sequence[float]:
        return [variance * value for value in values]

    return _View("pixels", _flat, _same, lambda w: w.reshape(shape), loads, lambda _: 0.0)


@_view.register
def _(observer: SLNN, shape: tuple[int, int]) -> _View:
    del observer

    def loads(variance: float, values: Sequence[float]) -> Sequence[float]:
        return [4.0 * variance * value for value in values]

    return _View("pixels", _flat, _same, lambda w: w.reshape(shape), loads, lambda _: 0.0)


@_view.register
def _(observer: HotellingLedoitWolf, shape: tuple[int, int]) -> _View:
    del observer  # endless trials leave nothing to shrink
    return _View("pixels", _flat, _same, lambda w: w.reshape(shape), lambda *_: [0.0], lambda _: 0.0)


@_view.register
def _(observer: HotellingEye, shape: tuple[int, int]) -> _View:
    noise = observer.internal_noise_hu**2

    def loads(variance: float, values: Sequence[float]) -> Sequence[float]:
        return [noise + variance * value for value in values]

    def on_image(weights: Array) -> Array:
        template: Array = observer._seen(weights.reshape(1, *shape))[0]  # E is symmetric
        return template

    def internal_std(one: Learned) -> float:
        return observer.internal_noise_hu * float(np.linalg.norm(one.template))

    return _View("eye", observer.pixels, observer.seen, on_image, loads, internal_std, noise)


@_view.register
def _(observer: ChannelizedHotelling, shape: tuple[int, int]) -> _View:
    basis = observer.fixed_basis(shape)
    if basis is None:
        raise UserError("no limit of many training trials is known of channels that are learned from the trials")

    def internal_std(one: Learned) -> float:
        return observer.internal_noise * float(np.sqrt(one.external_variance))

    kind = f"channels {observer.channels if isinstance(observer.channels, str) else id(observer)} {observer.settings}"

    def seen(images: Array) -> Array:
        return _flat(images) @ basis

    def trials(all_of_them: TrainingTrials) -> TrainingTrials:
        return TrainingTrials(seen(all_of_them.images)[:, None, :], all_of_them.signal_present)

    return _View(kind, seen, trials, lambda w: (basis @ w).reshape(shape), lambda *_: [0.0], internal_std)
