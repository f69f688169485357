"""taskct: task-informed training and task-based evaluation of low-dose CT denoisers.

>>> import taskct
>>> trials = taskct.simulate("smoke", trials={"n_train": 64, "n_validation": 32, "n_fresh": 64, "n_test": 64})
>>> trials["test"]
Trials(64 of 40×40 pixels of 1 mm, margin 4, 50% with the signal, 64 backgrounds)
"""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

__version__ = "0.2.0"

if TYPE_CHECKING:
    from taskct.api.roc import plot_roc as plot_roc
    from taskct.api.runs import open_run as open_run
    from taskct.api.simulated import read_study as read_study
    from taskct.api.simulated import simulate as simulate
    from taskct.apply.denoise import denoise as denoise
    from taskct.apply.denoise import load_denoiser as load_denoiser
    from taskct.errors import UserError as UserError
    from taskct.io.dicom import read_series as read_series
    from taskct.io.dicom_write import write_series as write_series
    from taskct.metrics.roc import auc as auc
    from taskct.observers.fresh import make_observer as make_observer
    from taskct.training.method import append_head as append_head
    from taskct.training.method import finetune as finetune
    from taskct.training.method import pretrain as pretrain
    from taskct.training.plan import Plan as Plan
    from taskct.trials.trials import Trials as Trials
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "api.roc": ["plot_roc"],
            "api.runs": ["open_run"],
            "api.simulated": ["read_study", "simulate"],
            "apply.denoise": ["denoise", "load_denoiser"],
            "errors": ["UserError"],
            "io.dicom": ["read_series"],
            "io.dicom_write": ["write_series"],
            "metrics.roc": ["auc"],
            "observers.fresh": ["make_observer"],
            "training.method": ["append_head", "finetune", "pretrain"],
            "training.plan": ["Plan"],
            "trials.trials": ["Trials"],
        },
        rooms=[
            "denoisers",
            "io",
            "metrics",
            "observers",
            "report",
            "scanner",
            "simulation",
            "tasks",
            "training",
            "trials",
        ],
    )
