"""Files at a URL by what they hold, for machines that share no disk: object storage, or whatever `fsspec` reaches.

A file is kept under its digest, so that it is sent once, and checked against it where it arrives. Beside the files
stand notes: small JSON by a name, written last, which tell that something is complete.
"""

import errno
import json
import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from taskct.errors import UserError
from taskct.files import whole_file
from taskct.reading import digest_of

N_AT_A_TIME = 4
"""Files that are sent or fetched side by side."""

LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the disk here, not of the store."""

WITHOUT_FOLDERS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Kinds of storage without folders; to make one there would make a bucket that is not there."""

Held = tuple[str, int]
"""What a file holds: its digest, as `digest_of` has it, and its length in bytes."""


class FilesLostError(BrokenExecutor):
    """A file that the store should hold is not there, or holds something else: it has to be made or sent anew."""


class ObjectStore:
    """The store at a URL, such as `s3://BUCKET/PREFIX`.

    Credentials come from where the storage's own tools have them, as the environment; a URL that holds some is refused,
    since it is shown to others. A `UserError` too if there is no such kind of storage, or its package is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = check_url(url)
        try:
            from fsspec.core import url_to_fs

            for name in ("fsspec", "s3fs", "botocore", "aiobotocore"):  # one line of ours says the same
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            # A listing that is remembered would hide what others write.
            self._fs, root = url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            scheme = url.partition("://")[0]
            package = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}.get(scheme)
            way = f"pip install {package}, here and on every worker" if package else "see the kinds that fsspec knows"
            raise UserError(f"--store {url}: {scheme}:// cannot be used here; {way}") from error
        self._root = str(root).rstrip("/")
        self._has_folders = url.partition("://")[0] not in WITHOUT_FOLDERS
        self._sent: set[str] = set()

    def check(self) -> None:
        """Raise a `UserError` unless the store can be written and read."""
        self.write_note("about", {"what": "files of taskct studies by their digests"})
        if self.read_note("about") is None:
            raise UserError(f"--store {self.url}: what is written there cannot be read back")

    def send(self, folder: Path, files: Mapping[str, Held]) -> None:
        """Send those files of a folder that the store does not hold yet."""
        new = {digest: (folder / name, size) for name, (digest, size) in files.items() if digest not in self._sent}
        with ThreadPoolExecutor(N_AT_A_TIME) as pool:
            list(pool.map(lambda digest: self._send(digest, *new[digest]), new))
        self._sent |= new.keys()

    def _send(self, digest: str, file: Path, size: int) -> None:
        place = self._place(digest)
        with self._reached():
            if self._fs.exists(place) and self._fs.size(place) == size:
                return
            self._make_folder(place)
            self._fs.put_file(str(file), place)

    def note_held(self, files: Mapping[str, Held]) -> None:
        """Take it that the store holds these, since whoever sent them says so."""
        self._sent |= {digest for digest, _ in files.values()}

    def forget(self) -> None:
        """Take nothing for granted any more: what is sent next is looked up first."""
        self._sent.clear()

    def fetch(self, folder: Path, files: Mapping[str, Held]) -> None:
        """Fetch files, each whole or not at all; `FilesLostError` if one is missing or holds something else.

        What the store holds under a digest that is not its own is removed.
        """
        with ThreadPoolExecutor(N_AT_A_TIME) as pool:
            list(pool.map(lambda name: self._fetch(folder / name, *files[name]), files))

    def _fetch(self, file: Path, digest: str, size: int) -> None:
        place = self._place(digest)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as partial:
            with self._reached(missing=True):
                self._fs.get_file(place, str(partial))
            if partial.stat().st_size != size or digest_of(partial) != digest:
                with self._reached(missing=True):
                    self._fs.rm_file(place)
                raise FilesLostError(f"{self.url} held something else for {file.name}")

    def write_note(self, name: str, content: object) -> None:
        """Write a note; it is there whole, or what a reader finds is no JSON."""
        place = f"{self._root}/notes/{name}.json"
        with self._reached():
            self._make_folder(place)
            self._fs.pipe_file(place, json.dumps(content).encode())

    def read_note(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """A note; None if there is none that is whole."""
        try:
            with self._reached(missing=True):
                return json.loads(self._fs.cat_file(f"{self._root}/notes/{name}.json"))
        except (FilesLostError, ValueError):
            return None

    def remove_note(self, name: str) -> None:
        """Remove a note, if it is there."""
        try:
            with self._reached(missing=True):
                self._fs.rm_file(f"{self._root}/notes/{name}.json")
        except FilesLostError:
            return

    def _make_folder(self, place: str) -> None:
        if self._has_folders:
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)

    def _place(self, digest: str) -> str:
        return f"{self._root}/files/{digest[:2]}/{digest}"

    @contextmanager
    def _reached(self, *, missing: bool = False) -> Iterator[None]:
        """Whatever goes wrong on the way: one line, without the words of libraries, which may quote a secret.

        `missing` if what is not there is lost, and not a fault of the place.
        """
        try:
            yield
        except (UserError, FilesLostError, json.JSONDecodeError):
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError) and missing:
                raise FilesLostError(f"{self.url} does not hold a file that it should") from None
            number = error.errno if isinstance(error, OSError) else None
            if number in LOCAL:
                raise
            why = type(error).__name__ + (f": {os.strerror(number)}" if number else "")
            raise UserError(
                f"--store {self.url} cannot be used ({why}): see that it is there, that its address is right, and that "
                "credentials to read and write it are where its own tools look for them, here and on every worker"
            ) from None


def check_url(url: str) -> str:
    """The same URL; a `UserError` if it is none, or would tell a secret to whoever sees it.

    Examples
    --------
    >>> check_url("s3://bucket/studies")
    's3://bucket/studies'
    """
    try:
        parts = urlsplit(url)
        has_secret = "@" in parts.netloc or bool(parts.query)
    except ValueError:
        parts, has_secret = urlsplit(""), "@" in url
    if has_secret:
        raise UserError(
            "--store: give the URL without credentials and options; they belong where the storage's own tools look for "
            "them, as in the environment"
        )
    if not parts.scheme or "://" not in url or not (parts.netloc or parts.path.strip("/")):
        raise UserError("--store: write SCHEME://PLACE, such as s3://BUCKET/PREFIX")
    if parts.scheme == "memory":
        raise UserError("--store memory://: other machines do not see the memory of this one; write s3://BUCKET/PREFIX")
    return url
