"""What the test trials said of each model, in a file beside its weights: with them it travels."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from taskct.config import Settings
from taskct.errors import UserError
from taskct.names import LOW_DOSE
from taskct.reading import read_json
from taskct.study.arms import BLEND, Arm

ENDS = ("ci_low", "ci_high")

RESULTS = ".results.json"
"""Takes the place of `.safetensors` in the name of the weights."""


def models_of(arms: Iterable[Arm]) -> dict[str, list[Arm]]:
    """The arms that each file of weights stands for, by its stem; a task path stands for all its prices."""
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        if arm.imported is not None and arm.price is None:  # images from elsewhere, or their blend
            continue
        if arm.alpha is not None:
            stem = f"{arm.parts[1].file_stem}{BLEND}"
        elif arm.price is not None or (arm.stage is not None and arm.filter is None):
            stem = arm.weights_stem
        else:
            continue
        found.setdefault(stem, []).append(arm)
    return found


def model_results(settings: Settings, summary: Mapping[str, Any], arms: Iterable[Arm]) -> dict[str, Any]:
    """The results file of one model from `summary.json`: its arms, and the low-dose images beside them.

    It also has licence and intended use as the study's settings are now: the card has them as they were at training.
    """
    wanted = {(arm.name, arm.seed) for arm in arms}
    low_dose = next((one for one in summary["arms"] if one["name"] == LOW_DOSE), None)
    return {
        "schema": 1,
        "study": summary["study"],
        "n_test": summary["n_test"],
        "licence": settings.model.licence,
        "intended_use": settings.model.use,
        "low_dose": None if low_dose is None else _figures(low_dose),
        "arms": [_figures(one) for one in summary["arms"] if (one["name"], one["seed"]) in wanted],
    }


def _figures(arm: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: arm[name] for name in ("name", "alpha", "price")}
    auc = {name: {"value": one["auc"], **{end: one[end] for end in ENDS}} for name, one in arm["observers"].items()}
    return {**kept, "rmse_hu": arm["image_quality"]["rmse_hu"], "observers": auc}


def results_path(weights: Path) -> Path:
    """The results file of a file of weights."""
    return weights.with_name(weights.name.removesuffix(".safetensors") + RESULTS)


class Estimate(BaseModel):
    """A figure with its interval; what cannot be had is None."""

    value: float | None
    ci_low: float | None
    ci_high: float | None


class ArmResults(BaseModel):
    """What the test trials said of one arm."""

    name: str
    rmse_hu: Estimate
    observers: dict[str, Estimate]
    """AUC by observer."""


class TestTrials(BaseModel):
    """How many test trials there were."""

    present: int
    absent: int


class ModelResults(BaseModel):
    """What the test trials said of one model."""

    model_config = ConfigDict(extra="allow")

    n_test: TestTrials
    licence: str | None
    intended_use: str | None
    low_dose: ArmResults | None
    arms: list[ArmResults]


def read_model_results(weights: Path) -> ModelResults | None:
    """What `model_results` made, of a model; None where the file is missing, a `UserError` if it is broken."""
    path = results_path(weights)
    if not path.is_file():
        return None
    advice = "delete it, and `taskct evaluate` makes it anew"
    content = read_json(path, "a model's results", advice)
    try:
        return ModelResults.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path} holds no results of a model: {advice}") from error
