"""The run folder: which study it holds, which stages are done, and where they came from."""

import hashlib
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from taskct import __version__
from taskct.config import Settings, make_settings, read_yaml, to_yaml
from taskct.errors import UserError
from taskct.training.checkpoints import write_text

LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "zarr",
    "safetensors",
    "torchmetrics",
    "pydicom",
    "matplotlib",
    "pydantic",
)


class RunFolder:
    """A run folder bound to one study.

    Parameters
    ----------
    path
        The folder; made if it is missing.
    settings
        The study, or None to take the one that the folder holds.
    device
        Where the work is done.

    Raises
    ------
    UserError
        If the folder holds another study or something else altogether, or none while `settings` is None.
    """

    def __init__(self, path: Path, settings: Settings | None, *, device: torch.device) -> None:
        self.path = path
        self.device = device
        study = path / "study.yaml"
        if study.is_file():
            held = make_settings(read_yaml(study))
            different = [] if settings is None else differences(held, settings)
            if different:
                more = f" and {len(different) - 1} more" if len(different) > 1 else ""
                raise UserError(
                    f"{path} holds another study ({different[0]}{more}): choose another --out folder"
                )
            self.settings = held
        elif settings is None:
            raise UserError(f"{path} is not a run folder: `taskct simulate` or `taskct run` makes one")
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path} exists and is not a run folder: choose another --out folder")
        else:
            self.settings = settings
            path.mkdir(parents=True, exist_ok=True)
            write_text(study, to_yaml(settings))

    @property
    def trials(self) -> Path:
        """The trial store."""
        return self.path / "trials"

    def weights(self, stem: str) -> Path:
        """Weights of an arm."""
        return self.path / "models" / f"{stem}.safetensors"

    def provenance(self) -> dict[str, Any]:
        """What is known of how the folder came about."""
        file = self.path / "provenance.json"
        if file.is_file():
            known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return known
        return {"stages": {}}

    def is_done(self, name: str, outputs: Sequence[Path], depends_on: Sequence[str] = ()) -> bool:
        """Whether a stage has finished from the very inputs it would have now."""
        record = self.provenance()["stages"].get(name)
        return (
            record is not None
            and record["key"] == self.key(name, depends_on)
            and all(output.exists() for output in outputs)
        )

    def key(self, name: str, depends_on: Sequence[str] = ()) -> str:
        """Hash of what a stage depends on: the settings, the version, and the stages before it."""
        stages = self.provenance()["stages"]
        before = [stages.get(stage, {}).get("finished", "") for stage in depends_on]
        content = json.dumps(
            [name, __version__, self.settings.model_dump(mode="json"), before], sort_keys=True
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def run_stage(
        self, name: str, work: Callable[[], None], outputs: Sequence[Path], depends_on: Sequence[str] = ()
    ) -> bool:
        """Do a stage unless it is done.

        Parameters
        ----------
        name
            Of the stage.
        work
            Does it; writes all of `outputs`, each whole or not at all.
        outputs
            Files or folders that must exist afterwards.
        depends_on
            Names of the stages it builds on; when one of them was done anew, so is this.

        Returns
        -------
        Whether it had to be done.
        """
        if self.is_done(name, outputs, depends_on):
            return False
        start = time.perf_counter()
        work()
        wall = time.perf_counter() - start
        record = {
            "key": self.key(name, depends_on),
            "wall_s": round(wall, 2),
            "finished": datetime.now(UTC).isoformat(timespec="microseconds"),
        }
        known = self.provenance()
        stages = {**known["stages"], name: record}
        content = {**environment(self.settings, self.device), "stages": stages}
        write_text(self.path / "provenance.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        return True

    def free_bytes(self) -> int:
        """Space left on the disk that holds the folder."""
        return shutil.disk_usage(self.path).free


def differences(held: Settings, asked: Settings) -> list[str]:
    """Dotted names of the settings in which two studies differ, with both values."""

    def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        items: dict[str, Any] = {}
        for key, value in tree.items():
            if isinstance(value, dict) and key != "arguments":
                items.update(flat(value, f"{prefix}{key}."))
            else:
                items[prefix + key] = value
        return items

    a, b = flat(held.model_dump(mode="json")), flat(asked.model_dump(mode="json"))
    return [f"{name} is {a[name]} there, {b[name]} now" for name in a if a[name] != b[name]]


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


def resolve_device(name: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda".

    Raises
    ------
    UserError
        If there is no CUDA device but one is asked for, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"--device {name}: choose auto, cpu or cuda")
    return torch.device(name)


__all__ = ["RunFolder", "commit", "differences", "environment", "resolve_device"]
