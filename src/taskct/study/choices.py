"""What a study chooses, all of it on the validation trials: the seed and the arm that the page quotes."""

from collections.abc import Sequence
from typing import Any

from taskct.config import Settings
from taskct.errors import UserError
from taskct.metrics.tradeoff import ROUNDING
from taskct.names import CONTROL, LOW_DOSE, MSE
from taskct.study.arm_result import ArmResult
from taskct.study.arms import Arm

CHOICE_OBSERVER = "ho_eye"
"""Whose validation AUC chooses the working point: the fresh observer nearest to a reader."""


def quoted_seed(arms: Sequence[Arm], settings: Settings) -> int:
    """The training seed to quote: the first with a pretrained denoiser, a control and an arm for the task."""
    for seed in settings.training.seeds:
        # The low-dose images are the same for every seed.
        mine = [arm for arm in arms if arm.seed == seed or arm.name == LOW_DOSE]
        task = [arm for arm in mine if (arm.price or (arm.swept and arm.task_weight)) and not arm.overrides]
        if task and {LOW_DOSE, MSE, CONTROL} <= {arm.name for arm in mine}:
            return seed
    raise UserError(
        "no training seed has a pretrained denoiser, a control (lambda=0) and a λ > 0 or a task path whose training "
        "ended well: there is nothing to compare"
    )


def choose(results: Sequence[ArmResult], settings: Settings) -> dict[str, Any]:
    """`choices.json`: everything that was chosen, all of it on the validation trials."""
    seed = quoted_seed([r.arm for r in results], settings)
    mine = [r for r in results if r.arm.seed == seed and not r.arm.overrides]
    control = next(r for r in mine if r.arm.name == CONTROL)
    path = [r for r in mine if r.arm.price is not None]
    # The task path, where there is one: it is one training, and at every price the best that was found.
    task = path or [r for r in mine if r.arm.swept and r.arm.task_weight]
    kind = "price of the task path" if path else "λ > 0"
    limit = (1.0 + settings.evaluation.chosen_price) * control.validation_rmse_hu * (1.0 + ROUNDING)
    affordable = [r for r in task if r.validation_rmse_hu <= limit]
    price = f"within {100 * settings.evaluation.chosen_price:g} % of the control's"
    rated = [r for r in affordable if CHOICE_OBSERVER in r.validation_auc]
    if rated:
        best = max(rated, key=lambda r: r.validation_auc[CHOICE_OBSERVER])
        rule = (
            f"the {kind} with the highest AUC of {CHOICE_OBSERVER} on the validation trials (seed {seed}), among those "
            f"whose RMSE there is {price}"
        )
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
