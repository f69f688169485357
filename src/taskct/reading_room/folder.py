"""The folder of a reading study: written whole or not at all, and checked before it is used.

`protocol.json`, `images.npy`, `order.json`, `training.json` with `training.npy`, `key.json` (the truth), `links.json`
(the tokens), `study.json` (how it came about, and the digests of all others). What readers answer is not part of it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct import __version__
from taskct.errors import UserError
from taskct.files import whole_folder, write_json, write_npy
from taskct.reading import sha256_of
from taskct.reading_room.in_place import Stamp, content_stamp
from taskct.reading_room.key import Key, KeyTrial
from taskct.reading_room.links import Links, make_links
from taskct.reading_room.order import ShownTrial
from taskct.reading_room.protocol import Protocol
from taskct.reading_room.study_files import (
    ADVICE,
    SCHEMA,
    StudyCard,
    map_images,
    plain_orders,
    read_card,
    read_key,
    read_links,
    read_orders,
    read_protocol,
    read_training,
)

PROTOCOL, IMAGES, ORDER, KEY, LINKS = "protocol.json", "images.npy", "order.json", "key.json", "links.json"
TRAINING, TRAINING_IMAGES = "training.json", "training.npy"
CARD = "study.json"

PRIVATE = (KEY, LINKS, ORDER, CARD)
"""Files that their owner alone may read: the truth, the tokens, and what could be worked out from order and seed."""

FOLDER_MODE, PRIVATE_MODE = 0o700, 0o600


@dataclass(frozen=True)
class StudyContents:
    """All that a new reading study holds."""

    protocol: Protocol
    images: NDArray[np.int16]
    """HU, `(n, height, width)`, in a random order that tells neither arm nor truth."""
    orders: Mapping[str, tuple[ShownTrial, ...]]
    """Each reader's trials, by their name."""
    key: Key
    training_images: NDArray[np.int16]
    """HU, `(m, height, width)`, `m` as many as all training trials show."""
    training: tuple[KeyTrial, ...]
    """Training trials, which every reader sees in this order and with the images as they stand."""
    seed: int
    """Of the draws that made it."""


def write_study(path: Path, contents: StudyContents) -> "StudyFolder":
    """Write a new study with new links, whole or not at all, its folder open to its owner alone.

    Raises
    ------
    UserError
        If something is there already, other than an empty folder.
    """
    check_new(path)
    c = contents
    with whole_folder(path) as partial:
        partial.chmod(FOLDER_MODE)
        write_json(partial / PROTOCOL, c.protocol.as_dict())
        write_npy(partial / IMAGES, np.ascontiguousarray(c.images, dtype="<i2"))
        write_json(partial / ORDER, plain_orders(c.orders))
        if c.training:
            write_npy(partial / TRAINING_IMAGES, np.ascontiguousarray(c.training_images, dtype="<i2"))
        write_json(partial / TRAINING, [asdict(trial) for trial in c.training])
        write_json(partial / KEY, asdict(c.key))
        write_json(partial / LINKS, asdict(make_links(tuple(c.orders))))
        digests = {file.name: str(sha256_of(file)) for file in sorted(partial.iterdir())}
        made = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(partial / CARD, asdict(StudyCard(SCHEMA, __version__, made, c.seed, digests)))
        for name in PRIVATE:
            (partial / name).chmod(PRIVATE_MODE)
    return StudyFolder.open(path)


def check_new(path: Path) -> None:
    """Raise a `UserError` if something is there where a study is to be made."""
    if is_study(path):
        raise UserError(f"{path} is a reading study already: `taskct read {path}` serves it; or choose another --out")
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise UserError(f"{path} exists: choose another --out, nothing is overwritten")


def is_study(path: Path) -> bool:
    """Whether a folder is a reading study."""
    return (path / CARD).is_file() and (path / PROTOCOL).is_file()


@dataclass(frozen=True)
class StudyFolder:
    """A reading study without its truth."""

    path: Path
    card: StudyCard
    digest: str
    """SHA-256 of `study.json`, and so of all that the study holds."""
    protocol: Protocol
    images: NDArray[np.int16]
    """HU, `(n, height, width)`, mapped."""
    training_images: NDArray[np.int16]
    """HU, mapped; none where there is no training."""
    training: tuple[KeyTrial, ...]
    orders: dict[str, tuple[ShownTrial, ...]]
    """Each reader's trials, by their name."""
    links: Links
    stamps: dict[str, Stamp] = field(default_factory=dict, compare=False)
    """Of the files of images, as they were when their digests were last compared."""

    @classmethod
    def open(cls, path: Path) -> "StudyFolder":
        """Open a study, once every file is known to be as it was made.

        `key.json` may be away: whoever serves a study can do without it.

        Raises
        ------
        UserError
            If it is no study, or a file is missing, changed or broken.
        """
        if not is_study(path):
            raise UserError(f"{path} is no reading study: `taskct read RUN --out STUDY` makes one")
        card = read_card(path / CARD)
        for name in (PROTOCOL, IMAGES, ORDER, TRAINING, LINKS):
            if name not in card.sha256:
                raise UserError(f"{path / CARD} is broken (no digest of {name}); {ADVICE}")
        stamps = {name: content_stamp(path / name) for name in (IMAGES, TRAINING_IMAGES) if name in card.sha256}
        for name, digest in card.sha256.items():
            _check_file(path, name, digest)
        protocol = read_protocol(path / PROTOCOL)
        images = map_images(path / IMAGES, protocol)
        training = read_training(path / TRAINING, protocol)
        training_images = (
            map_images(path / TRAINING_IMAGES, protocol)
            if training
            else np.empty((0, protocol.height, protocol.width), dtype=np.int16)
        )
        if len(training_images) != len(training) * protocol.n_alternatives:
            raise UserError(f"{path / TRAINING_IMAGES} is broken ({len(training_images)} images); {ADVICE}")
        orders = read_orders(path / ORDER, protocol, len(images))
        links = read_links(path / LINKS)
        if set(links.readers) != set(orders):
            raise UserError(f"{path / LINKS} names other readers than {ORDER}; {ADVICE}")
        digest = hashlib.sha256((path / CARD).read_bytes()).hexdigest()
        return cls(path, card, digest, protocol, images, training_images, training, orders, links, stamps)

    def check_images(self) -> None:
        """Raise a `UserError` if the images were moved or changed since the study was opened.

        They are mapped: readers would see the change, and a file that became shorter would end the process. A file that
        was written again is compared with its digest once.
        """
        for name, then in self.stamps.items():
            if (stamp := content_stamp(self.path / name)) != then:
                _compare(self.path, name, self.card.sha256[name], _digest_at(self.path / name, stamp))
                self.stamps[name] = stamp

    def read_key(self) -> Key:
        """The truth of every trial; nothing that serves readers calls this.

        Raises
        ------
        UserError
            If `key.json` is away, broken, or of another study.
        """
        if not (self.path / KEY).is_file():
            raise UserError(f"{self.path / KEY} is missing: put it back, the answers have no truth without it")
        key = read_key(self.path / KEY, self.protocol, len(self.images))
        for order in self.orders.values():
            for shown in order:
                if sorted(shown.images) != sorted(key.trials[shown.trial].images):
                    raise UserError(f"{self.path / KEY} does not belong to {ORDER}; {ADVICE}")
        return key


def _check_file(path: Path, name: str, digest: str) -> None:
    if Path(name).name != name:
        raise UserError(f"{path / CARD} is broken (a file called {name!r}); {ADVICE}")
    _compare(path, name, digest, sha256_of(path / name))


@lru_cache(maxsize=8)
def _digest_at(path: Path, stamp: Stamp) -> str | None:
    """Digest of a file as it is by its stamp: readers ask again and again for what cannot be shown."""
    return sha256_of(path)


def _compare(path: Path, name: str, digest: str, found: str | None) -> None:
    if found is None and name != KEY:
        raise UserError(f"{path / name} is missing; {ADVICE}")
    if found not in (None, digest):
        raise UserError(f"{path / name} has changed since the study was made; {ADVICE}")
