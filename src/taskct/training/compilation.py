"""`torch.compile` where it pays."""

import contextlib
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from taskct.errors import UserError
from taskct.training.plan import Compile

MIN_STEPS = 2000
"""Steps from which compiling pays on every machine seen: it takes some 20 s, and the demo's step of 0.06 s (bfloat16)
to 0.5 s (float32 without wide vectors) becomes a quarter faster."""


def can_compile(device: torch.device | str) -> bool:
    """Whether there is a compiler: of C++ for the CPU, Triton for CUDA."""
    if torch.device(device).type == "cuda":
        return bool(torch.utils._triton.has_triton())
    from torch._inductor import cpp_builder

    try:
        return bool(cpp_builder.get_cpp_compiler())
    except Exception:  # torch raises an internal error of its own, or an OSError, where none is found
        return False


def compiles(when: Compile, *, n_steps: int, device: torch.device | str) -> bool:
    """Whether a training of some steps is compiled: on one machine always the same answer.

    A `UserError` if it always must be and there is no compiler.
    """
    if when == "never" or (when == "auto" and n_steps < MIN_STEPS):
        return False
    if can_compile(device):
        return True
    if when == "auto":
        return False
    raise UserError(
        "training.compile is always but there is no compiler (C++, or Triton on CUDA): set it to auto or never"
    )


@contextlib.contextmanager
def compiled(denoiser: nn.Module, *, on: bool) -> Iterator[None]:
    """Run a denoiser's network compiled within; its weights and their names stay as they are."""
    network = getattr(denoiser, "network", denoiser)
    if not on:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch")  # advice on torch's own settings
        # What a process compiled before counts against a limit, after which torch would run uncompiled in silence.
        torch._dynamo.reset()
        network.compile()
        try:
            yield
        finally:
            network._compiled_call_impl = None
