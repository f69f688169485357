"""Numerical observers on a user's images, without training any denoiser."""

from taskct.study.observe.measure import observe
from taskct.study.observe.plan import Plan
from taskct.study.observe.readings import Eye, Known
from taskct.study.observe.results import Observation
from taskct.study.observe.task import Mode, Task

__all__ = ["Eye", "Known", "Mode", "Observation", "Plan", "Task", "observe"]
