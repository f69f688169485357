"""An observer fitted to people: its internal noise, how well it describes them, and where it does not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct import __version__
from taskct.apply.human.people import Condition, People
from taskct.errors import UserError
from taskct.metrics.comparisons import holm
from taskct.metrics.internal_noise import NOISE_KINDS, Law, ModelDecisions, NoiseKind, NoiseModel, model_proportion
from taskct.metrics.intervals import Interval
from taskct.metrics.noise_fit import Disagreement, FittedNoiseModel
from taskct.metrics.reader_counts import readers_proportion
from taskct.observers.internal_noise import FittedNoise, kinds_of

NO_NOISE, EFFICIENCY = "none", "efficiency"
"""Models beside those with noise: as it is, and with one efficiency for all conditions, which may be above 1."""

NOT_NORMAL = 0.02
"""Proportion correct by which that of normal test statistics may lie off before it is said."""


@dataclass(frozen=True)
class FitPlan:
    """How an observer is fitted; a `UserError` if a number is out of range."""

    kind: NoiseKind = "proportional"
    law: Law = "normal"
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in NOISE_KINDS:
            raise UserError(f"--noise is {self.kind!r}; give {', '.join(NOISE_KINDS)}")
        if self.law not in ("normal", "scores"):
            raise UserError(f"--law is {self.law!r}; give normal or scores")
        if not 0.0 < self.confidence < 1.0:
            raise UserError(f"--confidence is {self.confidence:g}; it must lie between 0 and 1 (0.95, not 95)")


@dataclass(frozen=True)
class ComparedWithPeople:
    """People and the fitted observer in some conditions."""

    name: str
    """Of the condition, or of what several have in common."""
    people: Interval
    """Proportion correct."""
    model: float
    disagreement: Disagreement
    p_holm: float
    """Adjusted over the table that it stands in."""


class HumanFit:
    """An observer fitted to people.

    Parameters
    ----------
    people
        How often they were right.
    model
        The observer; its noise is what is fitted, and not used.
    decisions
        Its test statistics without noise, by condition, in the order of the people's.
    plan
        Kind of noise, law, confidence, seed.
    notes
        What is to be said of how the observer learned.
    """

    def __init__(
        self,
        people: People,
        model: FittedNoise,
        decisions: Sequence[ModelDecisions],
        *,
        plan: FitPlan | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.people, self.decisions = people, tuple(decisions)
        self.plan = FitPlan() if plan is None else plan
        self.model = replace(model, kind=self.plan.kind, alpha=0.0, ci_low=0.0, ci_high=None)
        self._notes = tuple(dict.fromkeys(notes))
        poor = [c.name for c, one in zip(people.conditions, decisions, strict=True) if one.separation <= 0.0]
        advice = f"without noise {model.observer} does no better than chance in {', '.join(poor)}: give more images"
        if len(poor) == len(self.decisions):
            raise UserError(f"{advice}, or fewer channels")
        if poor:
            self._notes += (f"{advice} of it, or leave it out",)

    @cached_property
    def fits(self) -> dict[str, FittedNoiseModel]:
        """Every model that is compared, by its name: no noise, the kinds of noise, and one efficiency."""
        plan, counts = self.plan, self.people.counts
        made = {
            kind: NoiseModel(self.decisions, kind, counts.n_alternatives, law=plan.law)
            for kind in kinds_of(self.model.observer)
        }
        rest: dict[str, Any] = {"confidence": plan.confidence, "seed": plan.seed}
        return {
            NO_NOISE: FittedNoiseModel(made["proportional"], counts, without_noise=True, **rest),
            **{kind: FittedNoiseModel(one, counts, **rest) for kind, one in made.items()},
            EFFICIENCY: FittedNoiseModel(made["proportional"], counts, bounded=False, **rest),
        }

    @property
    def chosen(self) -> FittedNoiseModel:
        """With the kind of noise that was asked for."""
        return self.fits[self.plan.kind]

    @cached_property
    def best(self) -> str | None:
        """The model that predicts conditions which were left out best; None where none predicts them all."""
        rmse = {name: fit.left_out.rmse for name, fit in self.fits.items() if fit.n_parameters}
        if not any(map(math.isfinite, rmse.values())):
            return None
        rmse[NO_NOISE] = self.fits[NO_NOISE].left_out.rmse
        return min(self.fits, key=lambda name: rmse[name] if math.isfinite(rmse[name]) else math.inf)

    def fitted_noise(self) -> FittedNoise:
        """What is kept of the fit."""
        alpha, fit, counts = self.chosen.alpha, self.chosen, self.people.counts
        low, high = float(alpha.ci_low), float(alpha.ci_high)
        about: dict[str, Any] = {
            **self.people.about,
            "conditions": [condition.name for condition in self.people.conditions],
            "n_readers": counts.n_readers,
            "n_answers": float(counts.n_trials.sum()),
            "n_alternatives": counts.n_alternatives,
            "from_areas": self.people.from_areas,
            "law": self.plan.law,
            "left_out_rmse": _or_none(fit.left_out.rmse),
            "taskct_version": __version__,
        }
        return replace(
            self.model,
            alpha=float(alpha.value),
            ci_low=low,
            ci_high=high,
            confidence=self.plan.confidence,
            fitted_on=about,
        )

    def by_condition(self) -> list[ComparedWithPeople]:
        """People and observer in each condition."""
        n = len(self.people.conditions)
        names = [condition.name for condition in self.people.conditions]
        return self._compared(names, list(np.eye(n)))

    def by_property(self) -> dict[str, list[ComparedWithPeople]]:
        """The same averaged over conditions of one size, one contrast, one arm, by what they have in common."""
        found = {}
        for title, of in (("Size", _size), ("Contrast", _contrast), ("Images", _arm)):
            values = [of(condition) for condition in self.people.conditions]
            levels = list(dict.fromkeys(values))
            if "" in values or len(levels) < 2:
                continue
            weights = [np.array([value == level for value in values]) / values.count(level) for level in levels]
            found[title] = self._compared(levels, weights)
        return found

    def _compared(self, names: Sequence[str], weights: Sequence[NDArray[np.float64]]) -> list[ComparedWithPeople]:
        found = [self.chosen.disagreement(g) for g in weights]
        adjusted = holm([one.p_value for one in found])
        return [
            ComparedWithPeople(
                name,
                readers_proportion(self.people.counts, g, confidence=self.plan.confidence),
                float(g @ self.chosen.proportion),
                one,
                float(p),
            )
            for name, g, one, p in zip(names, weights, found, adjusted, strict=True)
        ]

    @cached_property
    def notes(self) -> list[str]:
        """What a reader of the results must know."""
        notes = list(self._notes)
        fit, counts = self.chosen, self.people.counts
        if counts.n_readers == 1:
            notes.append("one reader: the interval holds this reader's trials, not how readers differ")
        elif counts.shared is None:
            notes.append(
                "a table does not tell whether readers read the same trials: if they did, what these have in common is "
                "not in the intervals; a reading study's answers tell it"
            )
        if fit.free < 0.0:
            notes.append(
                f"people do better than {self.model.observer} without noise (efficiency "
                f"{self.fits[EFFICIENCY].efficiency.value:.2f}), so its noise is 0: look for an observer that sees more"
            )
        if self.plan.law == "normal":
            off = [
                float(model_proportion(one, np.zeros(1), counts.n_alternatives, law="scores")[0])
                - float(model_proportion(one, np.zeros(1), counts.n_alternatives)[0])
                for one in self.decisions
            ]
            if max(map(abs, off)) > NOT_NORMAL:
                notes.append(
                    f"the proportion correct of the test statistics lies up to {max(map(abs, off)):.3f} off that of "
                    "normal ones with their d': fit again with --law scores and compare"
                )
        if (hidden := np.isnan(fit.left_out.proportion)).any() and len(hidden) > 1:
            names = [one.name for one, is_hidden in zip(self.people.conditions, hidden, strict=True) if is_hidden]
            notes.append(
                f"{', '.join(names)} cannot be predicted from the other conditions, where people are at chance or "
                "nearly always right: no left-out error is given"
            )
        if len(self.people.conditions) == 1:
            notes.append("one condition: any noise fits it, so whether people and observer disagree cannot be told")
        if len(self.people.conditions) < 3:
            notes.append("fewer than 3 conditions hardly tell one kind of noise from another")
        return notes

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; readers have numbers, not names."""
        return {
            "fitted": self.fitted_noise().as_dict(),
            "best_left_out": self.best,
            "models": {name: _model_dict(fit) for name, fit in self.fits.items()},
            "conditions": [
                {
                    "name": condition.name,
                    "size_mm": condition.size_mm,
                    "contrast_hu": condition.contrast_hu,
                    "arm": condition.arm,
                    "d_prime_without_noise": decisions.d_prime,
                    "left_out_prediction": _or_none(float(predicted)),
                    **_compared_dict(compared),
                }
                for condition, decisions, compared, predicted in zip(
                    self.people.conditions,
                    self.decisions,
                    self.by_condition(),
                    self.chosen.left_out.proportion,
                    strict=True,
                )
            ],
            "properties": {
                title: [{"level": one.name, **_compared_dict(one)} for one in table]
                for title, table in self.by_property().items()
            },
            "alphas_of_readers": [_or_none(float(alpha)) for alpha in self.chosen.alphas_of_readers()],
            "notes": list(self.notes),
        }


def _model_dict(fit: FittedNoiseModel) -> dict[str, Any]:
    goodness = fit.goodness
    return {
        "alpha": _interval_dict(fit.alpha),
        "efficiency": _interval_dict(fit.efficiency) if fit.model.kind == "proportional" and fit.n_parameters else None,
        "n_parameters": fit.n_parameters,
        "aic": fit.aic,
        "left_out_rmse": _or_none(fit.left_out.rmse),
        "deviance": goodness.deviance,
        "df": goodness.df,
        "chi_square": _or_none(goodness.chi_square),
        "p_binomial": _or_none(goodness.p_binomial),
        "f_statistic": _or_none(goodness.f_statistic),
        "p_readers": _or_none(goodness.p_readers),
        "overdispersion": _or_none(goodness.overdispersion),
    }


def _compared_dict(one: ComparedWithPeople) -> dict[str, Any]:
    return {
        "people": _interval_dict(one.people),
        "model": one.model,
        "difference": _interval_dict(one.disagreement.difference),
        "p": one.disagreement.p_value,
        "p_holm": one.p_holm,
    }


def _interval_dict(found: Interval) -> Mapping[str, float]:
    return {"value": float(found.value), "ci_low": float(found.ci_low), "ci_high": float(found.ci_high)}


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _size(condition: Condition) -> str:
    return "" if condition.size_mm is None else f"{condition.size_mm:g} mm"


def _contrast(condition: Condition) -> str:
    return "" if condition.contrast_hu is None else f"{condition.contrast_hu:g} HU"


def _arm(condition: Condition) -> str:
    return condition.arm
