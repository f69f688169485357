"""Images that were denoised elsewhere: what such a denoiser is shown, and what it made of it, in the run folder.

`RUN/imported/NAME/` holds a `.npy` file for every split, float32, HU, `(n, height, width)`, in the order of the trials,
margin included, and `card.json`.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings, make_settings, tree_of
from taskct.errors import UserError
from taskct.files import whole_folder, write_json, write_npy
from taskct.names import IMPORT_NAME, check_import_name
from taskct.reading import read_json
from taskct.simulation.scan import Scanner
from taskct.study.graph import IMPORTED
from taskct.study.records import lock_folder, read_record, stage_path
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import Trials, select

TWINS = "twins"
"""Fresh trials with the other truth, where a simulation knows what their signals add."""

TRAIN_TWINS = "train_twins"
"""The same of all training trials: a task path learns from pairs that differ in the signal alone."""

N_TWINS = 1000
"""At most, of the fresh trials: each costs a denoising, and with these the error of the mean signal is below 1 % of the
SNR²."""

NEEDED = ("validation", "fresh", "test")
"""What an evaluation is made of; `twins` where there are some."""

SHOWN = ("train", TRAIN_TWINS, "validation", "fresh", TWINS, "test")
"""All that a denoiser may be shown."""


def shown_trials(run: RunFolder, name: str) -> Trials | None:
    """The trials of a split, or their twins: one of `SHOWN`; None where a simulation knows no twins.

    Raises
    ------
    UserError
        If the trials are not simulated yet.
    """
    if name == TWINS:
        return select(run.read("fresh"), slice(N_TWINS)).twins
    if name != TRAIN_TWINS:
        return run.read(name)
    train = run.read("train")
    if run.settings.absent_signal.inserted:
        return None  # what a trial would be without any signal is not known
    return replace(train, signal=Scanner(run.settings, run.device).signals_of(train.truth)).twins


def digest_of_images(images: NDArray[np.floating]) -> str:
    """SHA-256 of images as little-endian float32, in the order of their numbers."""
    return hashlib.sha256(np.ascontiguousarray(images, dtype="<f4").tobytes()).hexdigest()


def import_folder(run: RunFolder, name: str) -> Path:
    """Where the images of a denoiser elsewhere lie."""
    return run.path / IMPORTED / name


def read_import(run: RunFolder, name: str, split: str) -> NDArray[np.float32]:
    """Images of a split that were denoised elsewhere, HU, `(n, height, width)`, margin included; mapped, read only.

    Raises
    ------
    UserError
        If they are not there, or are not as many as the trials.
    """
    file = import_folder(run, name) / f"{split}.npy"
    if not file.is_file():
        what = "the training trials" if split in ("train", TRAIN_TWINS) else f"the split {split}"
        raise UserError(
            f"{run.path}: {name} has no images of {what}: `taskct export --split` names them, and `taskct import "
            "--replace` takes all of its images anew"
        )
    try:
        images: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}): import the images of {name} again") from error
    if images.ndim != 3 or images.dtype != np.float32:
        raise UserError(f"{file} holds no float32 images: import the images of {name} again")
    return images


def has_import(run: RunFolder, name: str, split: str) -> bool:
    """Whether there are images of a split that were denoised elsewhere."""
    return (import_folder(run, name) / f"{split}.npy").is_file()


def is_imported(run: RunFolder, name: str) -> bool:
    """Whether images of a denoiser elsewhere lie in a run folder and are on record; not after a kill in between."""
    return import_folder(run, name).exists() and read_record(run.path, f"import={name}") is not None


def import_card(run: RunFolder, name: str) -> dict[str, Any]:
    """What is known of a denoiser elsewhere: its format, software, and what was measured when its images came."""
    file = import_folder(run, name) / "card.json"
    content = read_json(file, "the card of an import", f"import the images of {name} again")
    if not isinstance(content, dict):
        raise UserError(f"{file} is no card: import the images of {name} again")
    return content


def names_imported(path: Path) -> list[str]:
    """Denoisers elsewhere whose images lie in a run folder, in the order of their names."""
    place = path / IMPORTED
    return sorted(one.parent.name for one in place.glob("*/card.json") if IMPORT_NAME.fullmatch(one.parent.name))


def with_import(settings: Settings, name: str) -> Settings:
    """The study with one more denoiser elsewhere, if it is not there already."""
    try:
        check_import_name(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    if name in settings.imported.names:
        return settings
    names = [*settings.imported.names, name]
    return make_settings(settings.model_dump(mode="json"), tree_of("imported.names", names))


def add_import(
    path: Path,
    name: str,
    images: Mapping[str, NDArray[np.float32]],
    card: Mapping[str, Any],
    *,
    replace_old: bool = False,
) -> RunFolder:
    """Make images that were denoised elsewhere an arm of a run folder, whole or not at all.

    Parameters
    ----------
    path
        The run folder, its trials simulated.
    name
        Of the arm, `import=NAME`.
    images
        HU, `(n, height, width)` in the order of the trials, by the names of `SHOWN`; those of `NEEDED` at least.
    card
        What `card.json` says beside name, counts and digests.
    replace_old
        Whether images of this name that are there already are replaced.

    Raises
    ------
    UserError
        If a split is missing, the images are of another number or shape than the trials, or the name is taken.
    """
    run = RunFolder(path, None, device=torch.device("cpu"))
    settings, stage = with_import(run.settings, name), f"import={name}"
    digests = {}
    for split in (*NEEDED, *(one for one in images if one not in NEEDED)):
        trials = shown_trials(run, split) if split in SHOWN else None
        if split not in images or trials is None:
            raise UserError(
                f"{name}: the split {split} is {'missing' if split not in images else 'none of this study'}"
            )
        if images[split].shape != trials.noisy.shape or not np.isfinite(images[split]).all():
            raise UserError(
                f"{name}: the images of the split {split} are of shape {images[split].shape} or not finite; the "
                f"trials are {trials.noisy.shape}"
            )
        digests[split] = digest_of_images(trials.noisy)
    run = RunFolder(path, settings, device=torch.device("cpu"))
    with lock_folder(path):
        place = import_folder(run, name)
        if is_imported(run, name) and not replace_old:
            raise UserError(f"{path} has images of {name} already: give another --name, or --replace")
        stage_path(path, stage).unlink(missing_ok=True)
        content = {
            "schema": 1,
            "name": name,
            **card,
            "splits": {split: len(one) for split, one in images.items()},
            "low_dose_sha256": digests,
            "sha256": {split: digest_of_images(one) for split, one in images.items()},
        }

        def write() -> None:
            place.parent.mkdir(exist_ok=True)
            with whole_folder(place) as partial:
                for split, one in images.items():
                    write_npy(partial / f"{split}.npy", np.asarray(one, dtype=np.float32))
                write_json(partial / "card.json", content)
                if place.exists():
                    shutil.rmtree(place)  # not before the others are written

        run.run_stage(stage, write, [place], ("simulate",))
        run.write_provenance()
    return run
