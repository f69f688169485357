"""The training loop of pretraining and of joint fine-tuning alike; killable at any moment."""

from torch import nn

from taskct.errors import UserError
from taskct.seeds import derive_seed
from taskct.training.descent import Descent
from taskct.training.plan import Plan, Upkeep
from taskct.training.record import Epoch, Record
from taskct.training.samples import TaskTrials, batches
from taskct.training.step import Objective


def train(
    denoiser: nn.Module,
    hybrid: Objective,
    trials: TaskTrials,
    plan: Plan,
    *,
    validation: TaskTrials | None = None,
    upkeep: Upkeep | None = None,
) -> list[Epoch]:
    """Train a denoiser in place, and the observer of its loss with it.

    Started by `torchrun`, every process calls it alike; each takes its share of every batch, and all end with the same
    weights. Process 0 alone writes files. The global generators are left as they were.

    Parameters
    ----------
    denoiser
        Maps HU `(n, h, w)` to the same; only its parameters that require a gradient are trained.
    hybrid
        What it is trained for.
    trials
        Images with their margin.
    plan
        How long, how fast and in what precision.
    validation
        Trials to look at after every epoch; needed for `plan.keep` "best" and `plan.patience`.
    upkeep
        Progress, state on the disk and log.

    Returns
    -------
    The losses of every epoch.

    Raises
    ------
    TrainingDiverged
        At the first loss that is not finite, or after an epoch that left weights that are not; the weights at the
        start of that epoch come with it.
    UserError
        If there are fewer trials in a batch than processes, the state on the disk is broken, or `plan` asks for what
        these trials cannot give.
    """
    if validation is None and (plan.keep == "best" or plan.patience is not None):
        raise UserError("keep='best' and patience need validation trials")
    if plan.patch_pixels is not None and hybrid.loss is not None:
        raise UserError("a task needs whole regions: patch_pixels is for training by MSE alone")
    descent = Descent(denoiser, hybrid, trials, plan)
    record = Record(descent, upkeep or Upkeep())
    with descent.ready():
        for epoch in record.epochs():
            order = batches(len(trials), plan.batch_size, seed=derive_seed(plan.seed, "order", epoch))
            for number, index in record.steps(order):
                loss, mse, task = descent.losses(index, number=number)
                record.check(mse, task)
                descent.descend(loss)
                record.end_step(mse, task)
            descent.share_statistics()
            record.end_epoch(None if validation is None else descent.validate(validation))
    record.end()
    return record.history
