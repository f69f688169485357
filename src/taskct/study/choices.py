"""What a study chooses, all of it on the validation trials: the seed and the arm that the page quotes."""

from collections.abc import Sequence
from typing import Any

from taskct.config import Settings
from taskct.errors import UserError
from taskct.metrics.tradeoff import ROUNDING
from taskct.names import CONTROL, LOW_DOSE, MSE
from taskct.study.arm_result import ArmResult
from taskct.study.arms import Arm, control_of

CHOICE_OBSERVER = "ho_eye"
"""Whose validation AUC chooses the working point: the fresh observer nearest to a reader."""


def quoted_seed(arms: Sequence[Arm], settings: Settings) -> int:
    """The training seed to quote: the first that has what is compared, and what it is compared with."""
    for seed in settings.training.seeds:
        mine = [arm for arm in arms if arm.seed == seed or arm.seedless]
        if _rivals(mine, settings) and {LOW_DOSE, *_needed(settings)} <= {arm.name for arm in mine}:
            return seed
    if settings.training.method == "none":
        raise UserError(
            "nothing is trained and no denoised images are there, so there is nothing to compare: `taskct export` and "
            "`taskct import` bring a denoiser's, denoiser.classical=[nlm] a filter's"
        )
    raise UserError(
        "no training seed has a pretrained denoiser, a control (lambda=0) and a λ > 0 or a task path whose training "
        "ended well: there is nothing to compare"
    )


def _needed(settings: Settings) -> set[str]:
    """Names of the arms that the others are compared with."""
    control = control_of(settings)
    return {MSE, CONTROL} if control == CONTROL else {control}


def _rivals(arms: Sequence[Arm], settings: Settings) -> list[Arm]:
    """The arms that the working point is chosen from: the task path's prices, else λ > 0.

    A path first, where there is one: it is one training, and at every price the best that was found. Where nothing is
    trained, the denoisers from elsewhere, else all others.
    """
    own = [arm for arm in arms if not arm.overrides]
    if settings.training.method != "none":
        return [arm for arm in own if arm.price] or [arm for arm in own if arm.swept and arm.task_weight]
    whole = [arm for arm in own if arm.name != LOW_DOSE and not arm.mixed]
    return [arm for arm in whole if arm.from_elsewhere or arm.pretrained] or whole


def choose(results: Sequence[ArmResult], settings: Settings) -> dict[str, Any]:
    """`choices.json`: everything that was chosen, all of it on the validation trials."""
    seed = quoted_seed([r.arm for r in results], settings)
    mine = [r for r in results if r.arm.seed == seed and not r.arm.overrides]
    rivals = {arm.name for arm in _rivals([r.arm for r in mine], settings)}
    task = [r for r in mine if r.arm.name in rivals]
    if settings.training.method == "none":
        kind, affordable, price = "denoiser", task, "there"
    else:
        control = next(r for r in mine if r.arm.name == control_of(settings))
        kind = "price of the task path" if task[0].arm.price is not None else "λ > 0"
        limit = (1.0 + settings.evaluation.chosen_price) * control.validation_rmse_hu * (1.0 + ROUNDING)
        affordable = [r for r in task if r.validation_rmse_hu <= limit]
        price = f"within {100 * settings.evaluation.chosen_price:g} % of the control's"
    rated = [r for r in affordable if CHOICE_OBSERVER in r.validation_auc]
    if rated:
        best = max(rated, key=lambda r: r.validation_auc[CHOICE_OBSERVER])
        among = "" if affordable is task else f", among those whose RMSE there is {price}"
        rule = f"the {kind} with the highest AUC of {CHOICE_OBSERVER} on the validation trials (seed {seed}){among}"
        if unrated := [r.arm.name for r in affordable if CHOICE_OBSERVER not in r.validation_auc]:
            rule += f"; {CHOICE_OBSERVER} could not be fitted to {', '.join(unrated)}"
    else:
        best = min(affordable or task, key=lambda r: r.validation_rmse_hu)
        why = f"{CHOICE_OBSERVER} could not be fitted to those {price}" if affordable else f"none is {price}"
        rule = f"the {kind} with the lowest RMSE on the validation trials (seed {seed}), since {why}"
    return {
        "chosen_arm": best.arm.name,
        "seed": seed,
        "rule": rule,
        "regularization": {r.arm.identity.quoted: r.regularization for r in results},
        "at_edge": [
            {"arm": r.arm.identity.quoted, "observer": name, "value": value}
            for r in results
            for name, value in r.regularization.items()
            if value in _ends(name, settings)
        ],
        "validation": [
            {"arm": r.arm.identity.quoted, "rmse_hu": r.validation_rmse_hu, "auc": r.validation_auc} for r in results
        ],
    }


def _ends(observer: str, settings: Settings) -> tuple[float, float]:
    """The weakest and the strongest regularization that an observer could choose."""
    o = settings.observers
    values = o.weight_decays if observer == "slnn" else o.ridges
    return min(values), max(values)
