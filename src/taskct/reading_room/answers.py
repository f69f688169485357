"""The answers of a reading study on disk: one SQLite file, written before a reader sees the next image.

The file is in WAL mode and synchronised at each commit. A process that is killed, or a power cut, takes nothing that
was acknowledged. Whoever analyses answers opens it read-only, while a server writes to it.
"""

import dataclasses
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from taskct.errors import UserError
from taskct.reading import check_regular, read_limit
from taskct.reading_room.answer import EVENT_KINDS, PHASES, Answer, Event, EventKind, Mark, Phase
from taskct.reading_room.in_place import file_stamp

ANSWERS = "answers.sqlite"
"""Name of the file in the folder of a study."""

SAVED = "answers-saved-{}.sqlite"
"""Name of a copy that is written where the file was taken away while it was used."""

BESIDE = ("", "-wal", "-shm")
"""Endings of the files that SQLite keeps."""

SCHEMA = 1
WAIT_S = 5.0
"""How long a write waits for another program that holds the file."""

_TABLES = {
    "book": "CREATE TABLE book (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "answers": """CREATE TABLE answers (
    reader TEXT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('training', 'reading')),
    position INTEGER NOT NULL CHECK (position >= 0),
    trial INTEGER NOT NULL,
    seconds REAL NOT NULL,
    at TEXT NOT NULL,
    choice INTEGER,
    rating INTEGER,
    marks TEXT NOT NULL,
    displayed TEXT NOT NULL,
    PRIMARY KEY (reader, phase, position)
) WITHOUT ROWID""",
    "events": """CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    reader TEXT NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    answered INTEGER NOT NULL,
    detail TEXT NOT NULL
)""",
    "events_of_reader": "CREATE INDEX events_of_reader ON events (reader, kind)",
}

_FULL, _NO_ROOM = (sqlite3.SQLITE_FULL,), (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


class AlreadyAnswered(Exception):  # noqa: N818 - what happened is no fault of the program
    """The position has another answer, or it is not the one to answer now."""


class CannotStore(Exception):  # noqa: N818 - as above
    """The disk did not take an answer; nothing of it is kept, and nothing earlier is lost."""


class AnswerBook:
    """Answers, events and the state of a reading study.

    Parameters
    ----------
    path
        The SQLite file; a new one is made unless `read_only`.
    read_only
        Whether to read alone, which a server that writes to it does not hinder.

    Raises
    ------
    UserError
        If it is missing and `read_only`, is no such file, or cannot be opened.

    Notes
    -----
    It may be used by several threads. `close_study` ends the study for its readers; `release` lets go of the file, as
    the end of a `with` does.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.is_read_only = read_only
        self._lock = threading.RLock()
        check_regular(path)
        if path.is_symlink() or path.is_dir():  # SQLite would keep its log elsewhere, where nobody looks for it
            kind = "a link" if path.is_symlink() else "a folder"
            raise UserError(f"{path}: {kind}, and not the file of answers itself; put the file there")
        if read_only and not path.is_file():
            raise UserError(f"{path}: no answers yet; serve the study with `taskct read {path.parent}` first")
        with _explained(path):
            self._connection = _open(path, read_only)
            self._prepare()
        self._stamps = {file: file_stamp(file) for file in _files(path)}
        self._saved: str | None = None
        """What to do about a copy that was written; None where there was no need."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the file; where it was taken away, what it held is saved first."""
        with self._lock:
            if not self.is_read_only:
                self.find_trouble()
            self._stamps = {}
            self._connection.close()

    def find_trouble(self) -> str | None:
        """Why no answer can be kept: the file was moved, replaced or deleted while it was used. None where it was not.

        What it held is written beside it at once, since the system forgets a deleted file as soon as it is let go of.
        """
        with self._lock:
            taken = any(then is not None and file_stamp(file) != then for file, then in self._stamps.items())
            if not taken:
                self._saved = None
            elif not self.path.parent.is_dir():
                return (
                    "the folder of the study was moved or deleted while it was served; put it back, or stop the server "
                    "and serve it where it is now, with all answers so far in it"
                )
            elif self._saved is None:
                self._saved = self._save()
            return self._saved

    def _save(self) -> str:
        """Write a copy of all that was kept; what to do about it, in words."""
        name = next(name for number in count(1) if not (self.path.parent / (name := SAVED.format(number))).exists())
        try:
            _make_private(self.path.with_name(name))
            self._connection.execute("VACUUM INTO ?", (str(self.path.with_name(name)),))
        except (OSError, sqlite3.Error) as error:
            reason = _why_not(error) if isinstance(error, sqlite3.Error) else error.strerror
            return f"{self.path.name} was taken away while it was used, and could not be saved ({reason}); put it back"
        return (
            f"{self.path.name} was moved, replaced or deleted while it was used; all answers so far are in {name}: "
            f"stop the server, take {self.path.name} and its -wal and -shm away, give {name} its name, and serve the "
            "study on"
        )

    # --- writing ------------------------------------------------------------------------------------------------------

    def bind(self, digest: str) -> None:
        """Note which study the answers belong to, at the first time; a `UserError` if it is another one.

        Parameters
        ----------
        digest
            Of the study as it was made, hexadecimal.
        """
        self.check_study(digest)
        if self._value("study") is None:
            with _explained(self.path), self._writing() as run:
                run("INSERT INTO book VALUES ('study', ?)", (digest,))

    def check_study(self, digest: str) -> None:
        """Raise a `UserError` if the answers are noted to belong to another study than the one of this digest."""
        if self._value("study") not in (None, digest):
            raise UserError(
                f"{self.path.parent}: the study was changed after reading began, so its answers belong to other "
                "images; put the folder back as it was, or make a new study"
            )

    def record(self, answer: Answer, displayed: dict[str, Any]) -> bool:
        """Write an answer to disk.

        Parameters
        ----------
        answer
            To the next position of its phase. One that is there already, the same in all but `at`, changes nothing.
        displayed
            How the images were shown: window and zoom, ready for JSON.

        Returns
        -------
        bool
            Whether it is new.

        Raises
        ------
        AlreadyAnswered
            If the position has another answer, or is not the next one.
        CannotStore
            If the disk did not take it.
        """
        marks = json.dumps([dataclasses.asdict(mark) for mark in answer.marks])
        row = (answer.reader, answer.phase, answer.position, answer.trial, answer.seconds, answer.at)
        with self._storing() as run:
            if (there := self.answer_at(answer.reader, answer.phase, answer.position)) is not None:
                if dataclasses.replace(there, at=answer.at) == answer:
                    return False
                raise AlreadyAnswered(f"position {answer.position} of {answer.phase} has an answer")
            if answer.position != (following := self.position(answer.reader, answer.phase)):
                raise AlreadyAnswered(f"position {following} of {answer.phase} is to be answered")
            more = (answer.choice, answer.rating, marks, json.dumps(displayed))
            run("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *more))
        return True

    def note(self, event: Event) -> None:
        """Write an event to disk; `CannotStore` if the disk did not take it."""
        row = (event.reader, event.at, event.kind, event.answered, json.dumps(event.detail))
        with self._storing() as run:
            run("INSERT INTO events (reader, at, kind, answered, detail) VALUES (?, ?, ?, ?, ?)", row)

    def close_study(self) -> None:
        """End the study for all readers, for good; `CannotStore` if the disk did not take it."""
        with self._storing() as run:
            run("INSERT OR IGNORE INTO book VALUES ('closed', ?)", (now(),))

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether the organiser has ended the study."""
        return self._value("closed") is not None

    def position(self, reader: str, phase: Phase = "reading") -> int:
        """How many trials of a phase a reader has answered, and so the position of the next one."""
        (found,) = self._rows("SELECT max(position) FROM answers WHERE reader = ? AND phase = ?", (reader, phase))
        return 0 if found[0] is None else int(found[0]) + 1

    def answer_at(self, reader: str, phase: Phase, position: int) -> Answer | None:
        """A reader's answer at a position; None where there is none."""
        where = "WHERE reader = ? AND phase = ? AND position = ?"
        return next(iter(self._answers(where, (reader, phase, position))), None)

    def answers(self, phase: Phase = "reading", reader: str | None = None) -> list[Answer]:
        """Answers of a phase, of all readers or of one; by reader, then in the order in which they were given."""
        where, values = ("WHERE phase = ?", (phase,)) if reader is None else ("WHERE phase = ? AND reader = ?", ())
        return self._answers(f"{where} ORDER BY reader, position", values or (phase, str(reader)))

    def displayed(self, phase: Phase = "reading") -> list[dict[str, Any]]:
        """How the images of each answer were shown, in the order of `answers`."""
        query = "SELECT displayed FROM answers WHERE phase = ? ORDER BY reader, position"
        with _explained(self.path):
            return [_object(row[0]) for row in self._rows(query, (phase,))]

    def events(self, reader: str | None = None) -> list[Event]:
        """Events of all readers or of one, in the order in which they happened."""
        where, values = ("", ()) if reader is None else ("WHERE reader = ?", (reader,))
        query = f"SELECT reader, at, kind, answered, detail FROM events {where} ORDER BY number"
        with _explained(self.path):
            return [_event(row) for row in self._rows(query, values)]

    def steps(self, reader: str) -> list[tuple[EventKind, int]]:
        """Kind of each event that moves a reader on, and how many trials were answered by then, in order."""
        query = "SELECT kind, answered FROM events WHERE reader = ? AND kind != 'display' ORDER BY number"
        return [(row[0], row[1]) for row in self._rows(query, (reader,))]

    def count(self, reader: str, kind: EventKind) -> int:
        """How many events of a kind there are of a reader."""
        return int(self._rows("SELECT count(*) FROM events WHERE reader = ? AND kind = ?", (reader, kind))[0][0])

    # --- inside -------------------------------------------------------------------------------------------------------

    def _answers(self, where: str, values: tuple[str | int, ...]) -> list[Answer]:
        query = f"SELECT reader, phase, position, trial, seconds, at, choice, rating, marks FROM answers {where}"
        with _explained(self.path):
            return [_answer(row) for row in self._rows(query, values)]

    def _value(self, name: str) -> str | None:
        found = self._rows("SELECT value FROM book WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def _rows(self, query: str, values: tuple[str | int, ...]) -> list[Any]:
        with self._lock, _explained(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """A transaction that is on disk when the block ends, or leaves nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back some that fail
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _storing(self) -> Iterator[Any]:
        """A transaction into the file that stands in the folder; also what is there already counts only there."""
        self._check_in_place()
        try:
            with self._writing() as run:
                yield run
        except sqlite3.Error as error:
            raise CannotStore(_why_not(error)) from error
        self._check_in_place()  # it may have gone meanwhile

    def _check_in_place(self) -> None:
        if not self.is_read_only and (trouble := self.find_trouble()) is not None:
            raise CannotStore(trouble)

    def _prepare(self) -> None:
        """Make the tables of a new file; refuse a file with others."""
        run = self._connection.execute
        found = dict(run("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        version = run("PRAGMA user_version").fetchone()[0]
        if not found and not version and not self.is_read_only:
            with self._writing():
                for sql in _TABLES.values():
                    run(sql)
                run(f"PRAGMA user_version = {SCHEMA}")
        elif version not in (0, SCHEMA):
            raise UserError(f"{self.path}: written by another version of taskct (schema {version}, known is {SCHEMA})")
        elif found != _TABLES:  # no view or trigger of a stranger's either
            raise UserError(f"{self.path}: no answers of a reading study; take it out of the folder")


def now() -> str:
    """The time as answers hold it: ISO 8601, UTC, milliseconds.

    >>> now().endswith("+00:00")
    True
    """
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _open(path: Path, read_only: bool) -> sqlite3.Connection:
    if not read_only and not path.exists():
        if saved := sorted(path.parent.glob(SAVED.format("*"))):
            raise UserError(
                f"{path} is missing, and {saved[-1].name} holds answers: give it the name {path.name}, or take it "
                "out of the folder to begin anew"
            )
        _make_private(path)
    if not read_only and not os.access(path, os.W_OK):  # SQLite would open it and refuse the first answer
        raise UserError(f"{path} cannot be written: make it so, or copy the study to a place where it can")
    # Without a log beside it nobody writes to the file and it is whole. Then none is made, which a reader would leave.
    is_whole = read_only and not path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro&immutable=1" if is_whole else "mode=ro" if read_only else "mode=rw"
    place = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(place, WAIT_S, isolation_level=None, check_same_thread=False, uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(2**20, read_limit()))
    for setting in ("trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {setting}")
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    return connection


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in BESIDE]


def _make_private(path: Path) -> None:
    """Make an empty file that its owner alone may read: names of readers will be in it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of SQLite and of damaged rows as one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be opened: {error.strerror or error}; mend that, and try again") from error
    except (ValueError, TypeError, KeyError, RecursionError, sqlite3.Error, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        if isinstance(error, sqlite3.OperationalError) and _code(error) in (*_FULL, *_NO_ROOM):
            raise UserError(f"{path} cannot be opened: {_why_not(error)}") from error
        raise UserError(
            f"{path}: cannot be read as answers of a reading study (damaged, or something else); put back a copy of it"
        ) from error


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 where Python itself raised it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _why_not(error: sqlite3.Error) -> str:
    if _code(error) in _FULL:
        return "the disk of the server is full; make room on it, and try again"
    if _code(error) in _NO_ROOM:
        return "the disk of the server did not take it (full, a quota, or not to be written); mend that, and try again"
    if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program holds the file of answers; close it, and try again"
    return "the file of answers is damaged; stop the server, and put back a copy of it"


def _answer(row: tuple[Any, ...]) -> Answer:
    reader, phase, position, trial, seconds, at, choice, rating, marks = row
    found = json.loads(marks)
    _check(isinstance(found, list) and all(isinstance(mark, dict) for mark in found))
    of_marks = tuple(Mark(_real(one["row_px"]), _real(one["column_px"]), _whole(one["rating"])) for one in found)
    _check(phase in PHASES and isinstance(reader, str) and isinstance(at, str))
    picked, confidence = (None if value is None else _whole(value) for value in (choice, rating))
    return Answer(reader, phase, _whole(position), _whole(trial), _real(seconds), at, picked, confidence, of_marks)


def _event(row: tuple[Any, ...]) -> Event:
    reader, at, kind, answered, detail = row
    _check(kind in EVENT_KINDS and isinstance(reader, str) and isinstance(at, str))
    return Event(reader, at, kind, _whole(answered), _object(detail))


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    _check(isinstance(found, dict))
    return dict(found)


def _whole(value: object) -> int:
    _check(isinstance(value, int) and not isinstance(value, bool))
    return int(value)  # type: ignore[call-overload, no-any-return]


def _real(value: object) -> float:
    _check(isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"))
    return float(value)  # type: ignore[arg-type]


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("a damaged row")
