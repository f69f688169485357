"""taskct: task-informed training and task-based evaluation of low-dose CT denoisers."""

__version__ = "0.2.0"
