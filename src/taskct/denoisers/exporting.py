"""Whether a network is being written as a graph for other programs, see `taskct.apply.export`."""

import torch


def exporting() -> bool:
    """Whether a graph is being made that is to hold for images of every size, so that no size may decide its form."""
    # The first is not in torch before 2.7; a trace is how TorchScript is made.
    return bool(getattr(torch.compiler, "is_exporting", bool)()) or bool(torch.jit.is_tracing())
