"""Whether a network is being written as a graph for other programs, see `taskct.apply.export_graph`."""

import torch


def exporting() -> bool:
    """Whether a graph is being made that is to hold for images of every size, so that no size may decide its form."""
    # A trace is how TorchScript is made; the second is not in torch before 2.7.
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]  # untyped in torch
    return traced or bool(getattr(torch.compiler, "is_exporting", bool)())
