"""Reading studies served on this machine, and readers of their pages in a browser."""

import base64
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import uvicorn
from numpy.typing import NDArray

from taskct.reading_room.answer import Answer
from taskct.reading_room.answers import ANSWERS, AnswerBook
from taskct.reading_room.app import make_app
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.guard import Guard, names_of

HOST = "127.0.0.1"

HASTE = "const slowly = setTimeout; window.setTimeout = (what, ms, ...more) => slowly(what, ms / 10, ...more);"
"""Makes a page wait a tenth of its pauses, where a test is not about them."""

EXPECTED = "Failed to load resource"
"""Of what the console says of a status that is not 200."""


READ_BY_A_TEST = "willReadFrequently"
"""Of a warning that tests cause, which read a canvas back; the page does not."""


class ServedStudy:
    """A study behind a port that stays the same when its server is stopped and started."""

    def __init__(self, study: StudyFolder) -> None:
        self.study = study
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://{HOST}:{self.port}/"

    def start(self) -> None:
        """Serve, as `taskct read` does."""
        self.book = AnswerBook(self.study.path / ANSWERS)
        app = Guard(make_app(self.study, self.book), *names_of(HOST, None))
        config = uvicorn.Config(app, host=HOST, port=self.port, log_config=None, lifespan="off", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop serving; the answers stay."""
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()
        self.book.release()

    def link(self, reader: str = "reader-1") -> str:
        """The link of a reader."""
        return f"{self.url}r/{self.study.links.readers[reader]}/"

    def answers(self, phase: Any = "reading", reader: str = "reader-1") -> list[Answer]:
        """What a reader has answered, in order."""
        return self.book.answers(phase, reader)

    def slot_of(self, answer: Answer) -> int:
        """Which of the images on the screen an answer of forced choice is."""
        assert answer.choice is not None
        if answer.phase == "training":
            return self.study.training[answer.position].images.index(answer.choice)
        return self.study.orders[answer.reader][answer.position].images.index(answer.choice)


@contextmanager
def served(study: StudyFolder) -> Iterator[ServedStudy]:
    """Serve a study while the block lasts."""
    room = ServedStudy(study)
    room.start()
    try:
        yield room
    finally:
        room.stop()


class ReaderPage:
    """A reader before a browser."""

    def __init__(
        self, browser: Any, room: ServedStudy, reader: str = "reader-1", *, hasty: bool = True, **options: Any
    ):
        self.room, self.link = room, room.link(reader)
        self.context = browser.new_context(**{"viewport": {"width": 1024, "height": 768}, **options})
        self.guard_ms = 60 if hasty else 300
        if hasty:
            self.context.add_init_script(HASTE)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(self.room.url):
            self.said.append(f"asked {url}")

    def open(self) -> "ReaderPage":
        """Open the link."""
        self.page.goto(self.link)
        return self

    def enter(self, *, by_mouse: bool = False) -> None:
        """Press the one button of a screen of text, once it may be pressed."""
        button = self.page.locator(".text:not(.check) .first")
        button.wait_for()
        self.page.wait_for_timeout(self.guard_ms)
        button.click() if by_mouse else self.page.keyboard.press("Enter")

    def check_display(self, steps: int = 18, *, by_mouse: bool = False) -> None:
        """See all that there is to see, and say so."""
        self.page.wait_for_selector("form")
        for name in ("dark", "bright"):
            corner = self.page.locator(f".field:has(~ fieldset input[name={name}])").get_attribute("class")[-1]
            if by_mouse:
                self.page.locator(f"input[name={name}]").nth(int(corner)).click()
            else:
                for key in ("Tab", "Space", *["ArrowDown"] * int(corner)):
                    self.page.keyboard.press(key)
        if by_mouse:
            self.page.select_option("#steps", str(steps))
            self.page.click("[type=submit]")
        else:
            self.page.keyboard.press("Tab")
            self.page.keyboard.type(str(steps))
            self.page.keyboard.press("Tab")
            self.page.keyboard.press("Enter")

    def enter_anyway(self) -> None:
        """Go on with a display that does not show all."""
        button = self.page.get_by_role("button", name="Go on all the same")
        button.wait_for()
        self.page.wait_for_timeout(self.guard_ms)
        button.click()

    def begin(self, *, by_mouse: bool = False) -> "ReaderPage":
        """From the link to the first trial."""
        self.open()
        self.enter(by_mouse=by_mouse)
        self.check_display(by_mouse=by_mouse)
        return self

    def armed(self, number: int, phase: str = "reading") -> None:
        """Wait until a trial can be answered; the first is 1."""
        start = f"{'Training trial' if phase == 'training' else 'Trial'} {number} of "
        self.page.wait_for_function(
            """(start) => document.querySelector(".stage[data-armed]")
              && document.querySelector(".where").textContent.startsWith(start)""",
            arg=start,
        )

    def levels(self, slot: int = 0) -> NDArray[np.int64]:
        """Grey levels of a canvas, all its pixels."""
        height, width, coded = self.page.evaluate(
            """(slot) => {
              const canvas = document.querySelectorAll(".sheet canvas")[slot];
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              let text = "";
              for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at]);
              return [canvas.height, canvas.width, btoa(text)];
            }""",
            slot,
        )
        return np.frombuffer(base64.b64decode(coded), dtype=np.uint8).reshape(height, width).astype(np.int64)

    def close(self, *, expected: Sequence[str] = ()) -> None:
        """Leave; whatever the console said, or was asked elsewhere, fails the test."""
        self.context.close()
        unexpected = [text for text in self.said if not any(part in text for part in (READ_BY_A_TEST, *expected))]
        assert unexpected == []


@contextmanager
def reading(browser: Any, room: ServedStudy, reader: str = "reader-1", **options: Any) -> Iterator[ReaderPage]:
    """A reader before a browser while the block lasts."""
    expected = options.pop("expected", ())
    one = ReaderPage(browser, room, reader, **options)
    try:
        yield one
    except BaseException:
        one.context.close()
        raise
    one.close(expected=expected)
