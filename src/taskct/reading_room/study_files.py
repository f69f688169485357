"""The files of a reading study, one by one: what each holds, checked as it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from taskct.errors import UserError
from taskct.io.image_stack import map_npy
from taskct.reading import read_json
from taskct.reading_room.key import Key, KeyTrial, Lesion
from taskct.reading_room.links import Links, check_readers
from taskct.reading_room.order import ShownTrial
from taskct.reading_room.protocol import ALTERNATIVES, SCALES, Protocol

T = TypeVar("T")

SCHEMA = 1
ADVICE = "put back a copy, or make the study anew in another folder"
MAX_SIDE_PX = 2048
"""Longest side of an image: more would not fit on a screen at whole pixels."""


@dataclass(frozen=True)
class StudyCard:
    """How a reading study came about, and the digests of its files: `study.json`."""

    schema: int
    version: str
    """Of taskct."""
    made: str
    """When, ISO 8601, UTC."""
    seed: int
    """Of all draws: cases, rows and orders."""
    sha256: dict[str, str]
    """Of every other file, by its name."""


def read_card(path: Path) -> StudyCard:
    """Read `study.json`; a `UserError` if it is broken or of another schema."""
    content = read_json(path, "the card of a reading study", ADVICE)
    if isinstance(content, dict) and content.get("schema") != SCHEMA:
        raise UserError(f"{path}: of another version's schema; this taskct reads schema {SCHEMA}")
    return _checked(path, content, StudyCard)


def read_protocol(path: Path) -> Protocol:
    """Read `protocol.json`; a `UserError` that names the first thing wrong."""
    protocol = _read(path, Protocol)
    p, d = protocol, protocol.display
    scales = (0,) if p.design in ALTERNATIVES else SCALES
    for name, right in {
        "scale": p.scale in scales,
        "n_trials": p.n_trials >= 1,
        "n_training": p.n_training >= 0,
        "break_every": p.break_every >= 0,
        "height": 1 <= p.height <= MAX_SIDE_PX,
        "width": 1 <= p.width <= MAX_SIDE_PX,
        "pixel_mm": p.pixel_mm is None or 0.0 < p.pixel_mm < 1e6,
        "display.width_hu": 0.0 < d.width_hu < 1e6,
        "display.centre_hu": -1e6 < d.centre_hu < 1e6,
        "display.zooms": 0 < len(d.zooms) <= 20 and all(1 <= zoom <= 100 for zoom in d.zooms),
    }.items():
        if not right:
            raise _broken(path, f"{name} is out of its range")
    return protocol


def read_orders(path: Path, protocol: Protocol, n_images: int) -> dict[str, tuple[ShownTrial, ...]]:
    """Read `order.json`: each reader's trials in order; a `UserError` if a reader does not see every trial once."""
    orders = _read(path, dict[str, tuple[ShownTrial, ...]])
    try:
        check_readers(tuple(orders))
    except UserError as error:
        raise _broken(path, str(error)) from None
    for order in orders.values():
        if sorted(shown.trial for shown in order) != list(range(protocol.n_trials)):
            raise _broken(path, f"a reader does not see each of {protocol.n_trials} trials once")
        for shown in order:
            if not _right_images(shown.images, protocol, n_images) or shown.block < 0:
                raise _broken(path, f"trial {shown.trial} shows images that do not belong to the study")
    return orders


def read_training(path: Path, protocol: Protocol) -> tuple[KeyTrial, ...]:
    """Read `training.json`: the training trials with their truth, by rows of the training images."""
    trials = _read(path, tuple[KeyTrial, ...])
    if len(trials) != protocol.n_training:
        raise _broken(path, f"{len(trials)} trials, and the protocol has {protocol.n_training}")
    _check_trials(path, trials, protocol, protocol.n_training * protocol.n_alternatives)
    return trials


def read_key(path: Path, protocol: Protocol, n_images: int) -> Key:
    """Read `key.json`: the truth of every trial."""
    key = _read(path, Key)
    if len(key.trials) != protocol.n_trials:
        raise _broken(path, f"{len(key.trials)} trials, and the protocol has {protocol.n_trials}")
    if strange := {trial.arm for trial in key.trials} ^ set(key.arms):
        raise _broken(path, f"the arm {min(strange)!r} is not of all its lists")
    if key.radius_mm is not None and not 0.0 < key.radius_mm < 1e6:
        raise _broken(path, "radius_mm is out of its range")
    _check_trials(path, key.trials, protocol, n_images)
    return key


def read_links(path: Path) -> Links:
    """Read `links.json`: the tokens of the readers and of the organiser."""
    return _read(path, Links)


def map_images(path: Path, protocol: Protocol) -> NDArray[np.int16]:
    """Map the images of a study, `(n, height, width)`, HU; a `UserError` if they are of another kind or size."""
    images = map_npy(path)
    if images.dtype != np.dtype("<i2") or images.shape[1:] != (protocol.height, protocol.width):
        raise _broken(path, f"it is {images.dtype} of shape {images.shape}")
    return images.view(np.int16)


def plain_orders(orders: Mapping[str, Sequence[ShownTrial]]) -> dict[str, Any]:
    """Orders as JSON has them."""
    return {reader: [asdict(shown) for shown in order] for reader, order in orders.items()}


def _check_trials(path: Path, trials: Sequence[KeyTrial], protocol: Protocol, n_images: int) -> None:
    for number, trial in enumerate(trials):
        n = len(trial.images)
        right = trial.present is None or 0 <= trial.present < n
        if protocol.design in ALTERNATIVES and trial.present is None:
            right = False
        if not right or not _right_images(trial.images, protocol, n_images):
            raise _broken(path, f"trial {number} has images or a truth that do not fit the protocol")
        if not all(_inside(lesion, protocol) for lesion in trial.lesions):
            raise _broken(path, f"trial {number} has a lesion outside its image")


def _right_images(images: Sequence[int], protocol: Protocol, n_images: int) -> bool:
    return len(images) == protocol.n_alternatives == len(set(images)) and min(images) >= 0 and max(images) < n_images


def _inside(lesion: Lesion, protocol: Protocol) -> bool:
    sides = (protocol.height, protocol.width)
    places = (lesion.row_px, lesion.column_px)
    return all(-0.5 <= place <= side - 0.5 for place, side in zip(places, sides, strict=True))


def _read(path: Path, kind: type[T]) -> T:
    return _checked(path, read_json(path, "a file of a reading study", ADVICE), kind)


def _checked(path: Path, content: Any, kind: type[T]) -> T:  # noqa: ANN401 - JSON's kinds
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _broken(path, f"at '{where}': {first['msg']}") from error


def _broken(path: Path, why: str) -> UserError:
    return UserError(f"{path} is broken ({why}); {ADVICE}")
