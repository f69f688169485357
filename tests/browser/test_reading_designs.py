"""A study of each design, read from its link to its end: by keyboard alone, and by mouse alone."""

import pytest

from reading_pages import ReaderPage, reading, served
from reading_studies import make_disc_study

SIZE = 32
ASKED = {  # what the reader means to answer at each trial: choices, ratings, or marks as (row, column, rating)
    "2afc": [1, 0, 0, 1],
    "4afc": [3, 0, 2, 1],
    "rating 5": [1, 5, 3, 2],
    "rating 101": [0, 100, 50, 7],
    "locate 5": [(16, 20, 1), (6, 16, 5), (16, 16, 3), (0, 31, 2)],
    "locate 101": [(16, 20, 1), (6, 16, 100), (16, 16, 50), (0, 31, 37)],
    "froc 5": [[], [(16, 20, 1)], [(6, 16, 5), (16, 26, 3)], [(0, 31, 2)]],
    "froc 101": [[], [(16, 20, 1)], [(6, 16, 100), (16, 26, 50)], [(0, 31, 37)]],
}


@pytest.fixture(params=ASKED)
def design(request):
    return request.param


@pytest.fixture
def room(tmp_path, design):
    name, _, scale = design.partition(" ")
    options = {"scale": int(scale)} if scale else {}
    study = make_disc_study(tmp_path / "study", name, n_cases=4, arms=("plain",), n_training=1, size=SIZE, **options)
    with served(study) as one:
        yield one


class Keyboard:
    """Answers with keys alone."""

    def __init__(self, reader: ReaderPage) -> None:
        self.press = reader.page.keyboard.press
        self.wait = lambda: reader.page.wait_for_timeout(reader.guard_ms)

    def choose(self, slot, count):
        if slot % 2:
            self.press(str(slot + 1))
        else:
            for _ in range(slot + 1):
                self.press("ArrowRight")
            self.press("Enter")

    def rate(self, rating, scale):
        for digit in str(rating):
            self.press(digit)
        if scale == 101:
            self.press("Enter")

    def place(self, row, column, rating):
        """From the middle: by tens, then by ones."""
        at = (SIZE // 2, SIZE // 2) if self.at is None else self.at
        for by, less, more in ((row - at[0], "ArrowUp", "ArrowDown"), (column - at[1], "ArrowLeft", "ArrowRight")):
            key = more if by > 0 else less
            for _ in range(abs(by) // 10):
                self.press(f"Shift+{key}")
            for _ in range(abs(by) % 10):
                self.press(key)
        if (row, column) == at:
            self.press("Space")
        self.at = (row, column)
        for digit in str(rating):
            self.press(digit)

    def locate(self, row, column, rating, scale):
        self.at = None
        self.place(row, column, rating)
        self.press("Enter")

    def mark(self, marks, scale):
        self.at = None
        for mark in marks:
            self.place(*mark)
            if scale == 101:
                self.press("Enter")
        self.wait()  # an Enter at once would be a double press
        self.press("Enter")

    def next(self):
        self.press("Enter")


class Mouse:
    """Answers with the mouse alone."""

    def __init__(self, reader: ReaderPage) -> None:
        self.page = reader.page

    def choose(self, slot, count):
        target = ".sheet" if slot % 2 else ".picture > button"
        self.page.locator(target).nth(slot).click()

    def rate(self, rating, scale):
        self._confidence(rating, scale)
        if scale == 101:
            self.page.get_by_role("button", name="Answer").click()

    def _confidence(self, rating, scale):
        if scale == 5:
            self.page.locator(".points button").nth(rating - 1).click()
            return
        slider = self.page.get_by_role("slider")
        box, thumb = slider.bounding_box(), 16
        x = thumb / 2 + rating / 100 * (box["width"] - thumb)
        slider.click(position={"x": x, "y": box["height"] / 2})

    def _place(self, row, column):
        box = self.page.locator(".sheet").bounding_box()
        pixel = box["width"] / SIZE
        self.page.mouse.click(box["x"] + (column + 0.5) * pixel, box["y"] + (row + 0.5) * pixel)

    def locate(self, row, column, rating, scale):
        self._confidence(rating, scale)  # in either order
        self._place(row, column)
        self.page.get_by_role("button", name="Answer").click()

    def mark(self, marks, scale):
        for row, column, rating in marks:
            self._place(row, column)
            self._confidence(rating, scale)
            if scale == 101:
                self.page.get_by_role("button", name="Add this mark").click()
        self.page.get_by_role("button", name="No more marks" if marks else "No marks").click()

    def next(self):
        self.page.locator(".controls .first").click()


def _answer(hand, protocol, wanted):
    if protocol.design.endswith("afc"):
        hand.choose(wanted, protocol.n_alternatives)
    elif protocol.design == "rating":
        hand.rate(wanted, protocol.scale)
    elif protocol.design == "locate":
        hand.locate(*wanted, protocol.scale)
    else:
        hand.mark(wanted, protocol.scale)


def _as_asked(room, answer):
    places = [(mark.row_px, mark.column_px, mark.rating) for mark in answer.marks]
    if answer.choice is not None:
        return room.slot_of(answer)
    if room.study.protocol.design == "rating":
        return answer.rating
    return places[0] if room.study.protocol.design == "locate" else places


def _flat(value):
    return [value] if not isinstance(value, list | tuple) else [part for one in value for part in _flat(one)]


@pytest.mark.parametrize("hand_of", [Keyboard, Mouse])
def test_a_study_is_read_to_its_end(browser, room, design, hand_of):
    asked = ASKED[design]
    with reading(browser, room) as reader:
        by_mouse = hand_of is Mouse
        reader.begin(by_mouse=by_mouse)
        hand = hand_of(reader)
        reader.armed(1, "training")
        _answer(hand, room.study.protocol, asked[0])
        reader.page.wait_for_selector(".feedback")
        reader.page.wait_for_timeout(60)
        hand.next()
        reader.enter(by_mouse=by_mouse)  # the reading begins
        for number, wanted in enumerate(asked, start=1):
            reader.armed(number)
            _answer(hand, room.study.protocol, wanted)
        reader.page.wait_for_selector("text=Thank you")
    assert len(room.answers("training")) == 1
    found = [_as_asked(room, answer) for answer in room.answers()]
    # A pointer is on whole CSS pixels, and its place in the image so near: half of one at 4 and more to a pixel.
    exact = hand_of is Keyboard or "101" not in design
    assert [len(_flat(one)) for one in found] == [len(_flat(one)) for one in asked]
    assert _flat(found) == pytest.approx(_flat(asked), abs=0.13 if exact else 1)
    assert all(0.01 < answer.seconds < 60 for answer in room.answers())
