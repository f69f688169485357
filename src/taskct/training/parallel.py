"""One process or several: device and gradients averaged between processes, by Lightning Fabric.

To ask which process this one is costs no import of torch.
"""

import atexit
import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

from taskct.errors import UserError

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric


def n_processes() -> int:
    """How many processes train together; 1 unless `torchrun` started this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return os.environ.get("RANK", "0") == "0"


def agree(value: Any, device: "torch.device | str") -> Any:  # noqa: ANN401 - whatever is to be agreed on
    """What the first process has found, plain data, in every process: what is on a disk may change meanwhile."""
    if n_processes() == 1:
        return value
    return make_fabric(device).broadcast(value)


def wait_for_all() -> None:
    """Wait until every process that trains has come here, as for a file that the first of them writes."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def make_fabric(device: "torch.device | str") -> "Fabric":
    """What places modules and averages gradients, launched; with one process it does nothing but place.

    Started by `torchrun`, each process takes the CUDA device of its own rank. It works in float32, and a step runs in
    our own `autocast`: told of bfloat16, Fabric rounds all that goes into the wrapped module, references in HU
    included, and −900 HU keep steps of 4 HU.
    """
    import torch
    from lightning_fabric import Fabric  # here, since it takes seconds to import and only a training needs it

    device = torch.device(device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision every time
    world = n_processes()
    if world > 1:
        per_node = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
        fabric = Fabric(
            accelerator=device.type,
            devices=per_node,
            num_nodes=world // per_node,
            strategy="ddp_find_unused_parameters_true",  # a network may hold what its forward never uses
            precision="32-true",
        )
    else:
        devices = [device.index or 0] if device.type == "cuda" else 1
        fabric = Fabric(accelerator=device.type, devices=devices, precision="32-true")
    joined = torch.distributed.is_available() and torch.distributed.is_initialized()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning_fabric")  # advice on its own use
        fabric.launch()
    if world > 1 and not joined and device.type == "cpu":
        atexit.register(_leave)  # Fabric itself does so for CUDA alone
    return fabric


def _leave() -> None:
    """Leave the group of processes: its threads may abort the end of an interpreter whose training is done."""
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def share(index: "torch.Tensor", *, rank: int, world: int) -> "torch.Tensor":
    """A process's share of a global batch `(n,)`; all shares have one size, so the mean of their means is the batch's.

    What does not divide by `world` at its end is left out. A `UserError` if there are fewer trials than processes.

    Examples
    --------
    >>> import torch
    >>> share(torch.arange(5), rank=1, world=2)
    tensor([2, 3])
    """
    each = len(index) // world
    if each == 0:
        raise UserError(f"{world} processes share a batch of {len(index)}: raise training.batch_size, or use fewer")
    return index[rank * each : (rank + 1) * each]
