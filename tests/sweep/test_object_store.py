"""Files at a URL: sent once, checked where they arrive, whole or not at all, and no secret told."""

import errno
from pathlib import Path
from typing import Any

import pytest

from taskct.errors import UserError
from taskct.reading import digest_of
from taskct.sweep.object_store import FilesLostError, Held, ObjectStore, check_url

CONTENT = {"a": b"one", "b/c": b"two", "b/same as a": b"one"}


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}/store")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Held]:
    """Those of the folder `here`."""
    for name, content in CONTENT.items():
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(content)
    return {name: (str(digest_of(tmp_path / "here" / name)), len(CONTENT[name])) for name in CONTENT}


def kept(tmp_path: Path) -> list[Path]:
    return sorted(file for file in (tmp_path / "store" / "files").rglob("*") if file.is_file())


def test_what_is_sent_is_fetched_and_equal_files_are_kept_once(
    tmp_path: Path, store: ObjectStore, files: dict[str, Held]
) -> None:
    store.check()
    store.send(tmp_path / "here", files)
    assert len(kept(tmp_path)) == 2
    store.fetch(tmp_path / "there", files)
    assert {name: (tmp_path / "there" / name).read_bytes() for name in CONTENT} == CONTENT
    times = [file.stat().st_mtime_ns for file in kept(tmp_path)]
    ObjectStore(store.url).send(tmp_path / "here", files)  # another process, which finds them there
    assert [file.stat().st_mtime_ns for file in kept(tmp_path)] == times


def test_an_upload_that_was_cut_short_is_sent_anew(tmp_path: Path, store: ObjectStore, files: dict[str, Held]) -> None:
    store.send(tmp_path / "here", files)
    kept(tmp_path)[0].write_bytes(b"t")
    ObjectStore(store.url).send(tmp_path / "here", files)
    store.fetch(tmp_path / "there", files)
    assert {name: (tmp_path / "there" / name).read_bytes() for name in CONTENT} == CONTENT


def test_what_is_missing_or_something_else_is_lost_and_leaves_no_file(
    tmp_path: Path, store: ObjectStore, files: dict[str, Held]
) -> None:
    store.send(tmp_path / "here", files)
    digest, size = files["b/c"]
    place = next(file for file in kept(tmp_path) if file.name == digest)
    place.write_bytes(b"TWO")  # of the right length
    with pytest.raises(FilesLostError):
        store.fetch(tmp_path / "there", {"b/c": (digest, size)})
    assert not place.exists()  # or whoever sends it again would find it there
    with pytest.raises(FilesLostError):
        store.fetch(tmp_path / "there", {"b/c": (digest, size)})
    assert [file for file in (tmp_path / "there").rglob("*") if file.is_file()] == []
    store.forget()
    store.send(tmp_path / "here", files)
    store.fetch(tmp_path / "there", files)


def test_a_note_that_is_not_whole_is_none(tmp_path: Path, store: ObjectStore) -> None:
    assert store.read_note("k") is None
    store.remove_note("k")
    store.write_note("k", {"files": {}})
    assert store.read_note("k") == {"files": {}}
    (tmp_path / "store" / "notes" / "k.json").write_bytes(b'{"files": {')
    assert store.read_note("k") is None
    store.remove_note("k")
    assert not (tmp_path / "store" / "notes" / "k.json").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://name:hidden@bucket/a", "without credentials"),
        ("s3://bucket/a?secret=hidden", "without credentials"),
        ("/shared/hidden", "write SCHEME://PLACE"),
        ("s3://", "write SCHEME://PLACE"),
        ("memory://hidden", "do not see the memory"),
    ],
)
def test_urls_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        check_url(url)
    assert "hidden" not in str(refused.value)


def test_a_kind_of_storage_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--store nosuch://a: nosuch:// cannot be used here"):
        ObjectStore("nosuch://a")

    def missing(*_: object, **__: object) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UserError, match=r"--store s3://b: s3:// cannot be used here; pip install s3fs"):
        ObjectStore("s3://b")


def test_words_of_libraries_are_not_told(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may quote a secret: the kind of the error and the system's own words say enough."""

    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, "the key hidden-4711 is not known")

    monkeypatch.setattr(store._fs, "pipe_file", fail)
    with pytest.raises(UserError, match=r"cannot be used \(PermissionError: Permission denied\)") as refused:
        store.check()
    assert "4711" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_full_disk_here_is_no_fault_of_the_store(
    tmp_path: Path, store: ObjectStore, files: dict[str, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._fs, "get_file", fail)
    with pytest.raises(OSError, match="No space left"):
        store.fetch(tmp_path / "there", files)
