"""Which of the processes that `torchrun` started this one is, without importing what trains."""

import os


def n_processes() -> int:
    """How many processes train together; 1 unless `torchrun` started this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return os.environ.get("RANK", "0") == "0"
