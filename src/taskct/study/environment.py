"""What a reader needs to run a study again: versions, commit and kind of machine; nothing that identifies one."""

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from taskct import __version__
from taskct.config import Settings

LIBRARIES = ("torch", "numpy", "scipy", "zarr", "safetensors", "lightning-fabric", "pydicom", "matplotlib", "pydantic")


def environment(settings: Settings, device: torch.device) -> dict[str, Any]:
    """Version, commit, libraries and machine: what a reader needs to run the study again."""
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # pragma: no cover - a library without metadata
            libraries[name] = "unknown"
    return {
        "taskct_version": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": libraries,
        "device": str(device),
        "n_threads": torch.get_num_threads(),
        "seed": settings.seed,
        "training_seeds": list(settings.training.seeds),
    }


def commit() -> str | None:
    """The commit of the checkout that taskct runs from, or None for an installed package."""
    here = Path(__file__).parent
    git = shutil.which("git")
    if git is None or "site-packages" in here.parts:
        return None
    answer = subprocess.run(
        [git, "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or None if answer.returncode == 0 else None
