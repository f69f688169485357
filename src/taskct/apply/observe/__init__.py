"""Numerical observers on a user's images, without training any denoiser."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.apply.observe.choices import Mode as Mode
    from taskct.apply.observe.measure import observe as observe
    from taskct.apply.observe.observation import Observation as Observation
    from taskct.apply.observe.readings import Eye as Eye
    from taskct.apply.observe.readings import Known as Known
    from taskct.apply.observe.task import Plan as Plan
    from taskct.apply.observe.task import Task as Task
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "choices": ["Mode"],
            "measure": ["observe"],
            "observation": ["Observation"],
            "readings": ["Eye", "Known"],
            "task": ["Plan", "Task"],
        },
    )
