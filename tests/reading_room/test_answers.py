"""The answers on disk: written at once, never twice, never changed, and read while they are written."""

import os
import shutil
import sqlite3
from dataclasses import replace
from itertools import count

import pytest

from taskct.errors import UserError
from taskct.reading_room.answer import Answer, Event, Mark
from taskct.reading_room.answers import ANSWERS, AlreadyAnswered, AnswerBook, CannotStore, now
from taskct.reading_room.in_place import file_stamp

SHOWN = {"centre_hu": 40.0, "width_hu": 400.0, "zoom": 2.0}


def answer(position=0, reader="ann", **more):
    return Answer(reader, "reading", position, 7 + position, 1.25, now(), **{"choice": 3, **more})


@pytest.fixture
def path(tmp_path):
    return tmp_path / ANSWERS


@pytest.fixture
def book(path):
    with AnswerBook(path) as opened:
        yield opened


def test_what_was_recorded_is_read_back_also_by_another_who_only_reads(book, path):
    marks = (Mark(1.5, 2.0, 3), Mark(0.1 + 0.2, -0.5, 5))
    given = [answer(), answer(1, choice=None, rating=4, marks=marks), answer(0, "bo")]
    for one in given:
        assert book.record(one, SHOWN)
    book.note(Event("ann", now(), "display", 0, {"steps": [1, 2], "screen": "1920×1080"}))
    with AnswerBook(path, read_only=True) as other:
        assert other.answers() == given
        assert other.answers("training") == []
        assert other.answers(reader="bo") == given[2:]
        assert other.displayed() == [SHOWN] * 3
        assert [event.detail["screen"] for event in other.events("ann")] == ["1920×1080"]
        assert other.events("bo") == []
        assert (other.position("ann"), other.position("bo"), other.position("carl")) == (2, 1, 0)
        with pytest.raises(CannotStore):
            other.record(answer(2), SHOWN)
    assert book.position("ann") == 2


def test_the_same_answer_again_changes_nothing_and_another_one_is_refused(book):
    first = answer()
    book.record(first, SHOWN)
    assert not book.record(replace(first, at="2030-01-01T00:00:00+00:00"), SHOWN | {"zoom": 3.0})
    for other in (replace(first, choice=4), replace(first, seconds=1.26), replace(first, trial=8)):
        with pytest.raises(AlreadyAnswered):
            book.record(other, SHOWN)
    with pytest.raises(AlreadyAnswered, match="position 1 of reading is to be answered"):
        book.record(answer(2), SHOWN)
    assert book.answers() == [first]
    assert book.displayed() == [SHOWN]


def test_each_commit_waits_for_the_disk(book):
    run = book._connection.execute
    assert run("PRAGMA journal_mode").fetchone() == ("wal",)
    assert run("PRAGMA synchronous").fetchone() == (2,)


def test_the_file_is_for_its_owner_alone(book, path):
    book.record(answer(), SHOWN)
    files = sorted(path.parent.glob(f"{ANSWERS}*"))
    assert {file.name.removeprefix(ANSWERS) for file in files} >= {"", "-wal"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_full_disk_loses_nothing_and_the_same_answer_is_taken_once_there_is_room(book):
    many = tuple(Mark(float(i), 0.0, 1) for i in range(100))
    book._connection.execute("PRAGMA max_page_count = 12")

    def fill():
        for position in range(100):
            book.record(answer(position, marks=many), SHOWN)

    with pytest.raises(CannotStore, match=r"the disk of the server is full; make room on it, and try again"):
        fill()
    assert 0 < (n := book.position("ann")) < 20
    assert [one.position for one in book.answers()] == list(range(n))
    book._connection.execute("PRAGMA max_page_count = 1000")
    assert book.record(answer(n, marks=many), SHOWN)
    assert book.position("ann") == n + 1


def test_another_program_that_holds_the_file_is_told_and_waited_for(book, path, monkeypatch):
    book._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CannotStore, match="another program holds the file"):
        book.record(answer(), SHOWN)
    other.execute("ROLLBACK")
    other.close()
    assert book.record(answer(), SHOWN)


def test_answers_belong_to_one_study(book, path):
    book.bind("a" * 64)
    book.bind("a" * 64)
    with pytest.raises(UserError, match="changed after reading began"):
        book.bind("b" * 64)
    book.check_study("a" * 64)
    with pytest.raises(UserError, match="its answers belong to other images"):
        book.check_study("b" * 64)
    with AnswerBook(path, read_only=True) as other:
        other.bind("a" * 64)


TAKEN = {
    "deleted": lambda path: path.unlink(),
    "deleted with its log": lambda path: [file.unlink() for file in path.parent.glob(f"{ANSWERS}*")],
    "only its log deleted": lambda path: path.with_name(f"{ANSWERS}-wal").unlink(),
    "replaced by a copy": lambda path: (
        shutil.copy(path, path.with_name("copy")) and path.with_name("copy").rename(path)
    ),
    "moved": lambda path: path.rename(path.with_name("elsewhere")),
}


@pytest.mark.parametrize("how", list(TAKEN))
def test_a_file_that_is_taken_away_while_it_is_used_takes_no_more_answers_and_is_saved(book, path, how):
    given = [answer(position) for position in range(3)]
    for one in given:
        book.record(one, SHOWN)
    assert book.find_trouble() is None
    TAKEN[how](path)
    for again in (answer(3), answer(3), given[2]):  # not even one that was kept is acknowledged again
        with pytest.raises(CannotStore, match=rf"{ANSWERS} was moved, .*all answers so far are in answers-saved-1"):
            book.record(again, SHOWN)
    with pytest.raises(CannotStore):
        book.close_study()
    saved = path.with_name("answers-saved-1.sqlite")
    assert saved.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.glob("answers-saved*")] == [saved.name]
    book.release()
    for file in path.parent.glob(f"{ANSWERS}*"):
        file.unlink()
    with pytest.raises(UserError, match=r"is missing, and answers-saved-1.sqlite holds answers: give it the name"):
        AnswerBook(path)
    saved.rename(path)
    with AnswerBook(path) as back:
        assert back.answers() == given
        assert back.record(answer(3), SHOWN)


def test_a_file_that_is_taken_away_at_the_last_moment_is_saved_too(book, path, monkeypatch):
    seen, stamp = count(), file_stamp

    def gone_later(file):
        if next(seen) == len(book._stamps):  # after what is looked at before the answer is written
            path.unlink()
        return stamp(file)

    monkeypatch.setattr("taskct.reading_room.answers.file_stamp", gone_later)
    with pytest.raises(CannotStore, match="all answers so far are in answers-saved-1"):
        book.record(answer(), SHOWN)
    book.release()
    with AnswerBook(path.with_name("answers-saved-1.sqlite"), read_only=True) as saved:
        assert len(saved.answers()) == 1


def test_a_file_deleted_while_nobody_answers_is_saved_when_it_is_let_go_of(book, path):
    book.record(answer(), SHOWN)
    path.unlink()
    book.release()
    book.release()
    with AnswerBook(path.with_name("answers-saved-1.sqlite"), read_only=True) as saved:
        assert len(saved.answers()) == 1


def test_a_file_that_comes_back_takes_answers_again(book, path):
    book.record(answer(), SHOWN)
    path.rename(path.with_name("elsewhere"))
    assert "answers-saved-1.sqlite" in book.find_trouble()
    path.with_name("elsewhere").rename(path)
    assert book.find_trouble() is None
    assert book.record(answer(1), SHOWN)
    path.unlink()
    assert "answers-saved-2.sqlite" in book.find_trouble()


def test_a_copy_that_cannot_be_written_is_told(book, path, monkeypatch):
    def no_room(place):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("taskct.reading_room.answers._make_private", no_room)
    book.record(answer(), SHOWN)
    path.rename(path.with_name("elsewhere"))
    assert "could not be saved (No space left on device); put it back" in book.find_trouble()


def test_a_closed_study_stays_closed(book, path):
    assert not book.is_closed
    book.close_study()
    book.close_study()
    assert book.is_closed
    with AnswerBook(path, read_only=True) as other:
        assert other.is_closed


def test_a_book_opened_again_goes_on(path):
    for position in range(3):
        with AnswerBook(path) as book:
            assert book.record(answer(position), SHOWN)
    with AnswerBook(path, read_only=True) as book:
        assert len(book.answers()) == 3
    assert list(path.parent.iterdir()) == [path]  # reading leaves nothing behind


def test_what_a_killed_server_left_is_read(path, tmp_path):
    with AnswerBook(path) as book:
        book.record(answer(), SHOWN)
        for place in path.parent.glob(f"{ANSWERS}*"):  # as they lie while it is open
            (tmp_path / f"copy-{place.name}").write_bytes(place.read_bytes())
    (tmp_path / f"copy-{ANSWERS}-shm").unlink()
    with AnswerBook(tmp_path / f"copy-{ANSWERS}", read_only=True) as copy:
        assert len(copy.answers()) == 1


def test_a_missing_or_foreign_or_newer_file_is_one_line(path, tmp_path):
    with pytest.raises(UserError, match=r"no answers yet; serve the study with `taskct read"):
        AnswerBook(path, read_only=True)
    assert not path.exists()
    path.write_bytes(b"no database, but long enough to look at" * 100)
    for read_only in (False, True):
        with pytest.raises(UserError, match="cannot be read as answers"):
            AnswerBook(path, read_only=read_only)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE VIEW answers AS SELECT 1")
    other.close()
    with pytest.raises(UserError, match="no answers of a reading study"):
        AnswerBook(path)
    path.unlink()
    AnswerBook(path).release()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    with pytest.raises(UserError, match=r"another version of taskct \(schema 2, known is 1\)"):
        AnswerBook(path)


def test_answers_are_a_file_of_the_folder_itself(path, tmp_path, monkeypatch):
    other = tmp_path / "other.sqlite"
    path.symlink_to(other)
    for _ in range(2):  # one that leads nowhere, and one that leads to answers
        for read_only in (False, True):
            with pytest.raises(UserError, match="a link, and not the file of answers itself"):
                AnswerBook(path, read_only=read_only)
        AnswerBook(other).release()
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="a folder, and not the file of answers itself"):
        AnswerBook(path)
    path.rmdir()

    def no_room(place):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("taskct.reading_room.answers._make_private", no_room)
    with pytest.raises(UserError, match=r"answers.sqlite cannot be opened: No space left on device"):
        AnswerBook(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_is_told_before_anybody_answers(path):
    AnswerBook(path).release()
    path.chmod(0o400)
    with pytest.raises(UserError, match=r"answers.sqlite cannot be written: make it so"):
        AnswerBook(path)
    AnswerBook(path, read_only=True).release()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE answers SET marks = '[1]'",
        "UPDATE answers SET marks = '{'",
        'UPDATE answers SET marks = \'[{"row_px": 1e999, "column_px": 0, "rating": 1}]\'',
        "UPDATE answers SET choice = 'left'",
        "UPDATE answers SET seconds = 'long'",
        "UPDATE answers SET reader = x'ff'",
        "PRAGMA ignore_check_constraints = ON; UPDATE answers SET phase = 'elsewhere'",
    ],
)
def test_a_damaged_row_is_one_line(path, change):
    with AnswerBook(path) as book:
        book.record(answer(), SHOWN)
    with sqlite3.connect(path) as other:
        other.executescript(change)
    other.close()
    with AnswerBook(path, read_only=True) as book, pytest.raises(UserError, match="cannot be read as answers"):
        book.answers("elsewhere" if "elsewhere" in change else "reading")
