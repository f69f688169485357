"""Numerical observers on a user's images, without training any denoiser."""

from taskct.apply.observe.measure import observe
from taskct.apply.observe.observation import Observation
from taskct.apply.observe.plan import Plan
from taskct.apply.observe.readings import Known
from taskct.apply.observe.task import Mode, Task
from taskct.observers.fresh import Eye

__all__ = ["Eye", "Known", "Mode", "Observation", "Plan", "Task", "observe"]
