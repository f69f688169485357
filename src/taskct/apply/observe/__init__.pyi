from .choices import Mode as Mode
from .measure import observe as observe
from .observation import Observation as Observation
from .readings import Eye as Eye
from .readings import Known as Known
from .task import EvaluationPlan as EvaluationPlan
from .task import Task as Task
