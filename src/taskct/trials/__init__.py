"""Trials of a task and where they are stored."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.trials.store import read_trials as read_trials
    from taskct.trials.store import write_trials as write_trials
    from taskct.trials.trials import SPLITS as SPLITS
    from taskct.trials.trials import TRUTH as TRUTH
    from taskct.trials.trials import Trials as Trials
    from taskct.trials.trials import crop as crop
    from taskct.trials.trials import select as select
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__, {"store": ["read_trials", "write_trials"], "trials": ["SPLITS", "TRUTH", "Trials", "crop", "select"]}
    )
