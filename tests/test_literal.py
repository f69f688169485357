"""Text from files acts neither on a terminal nor on a table nor on a figure."""

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from taskct.errors import UserError
from taskct.literal import csv_text, figure_text, shown


@pytest.mark.parametrize("text", ["FBP [low]", "[/red]", "Läsion", "肝臓", "a\u00a0b"[:1], "λ = 0.9", "", "50 % dose"])
def test_what_can_be_seen_is_shown_as_it_is(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\rb", r"a\rb"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udc80", r"\udc80"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_acts_is_escaped(text, seen):
    assert shown(text) == seen
    assert str(UserError(f"{text}: no")) == f"{seen}: no" or "\u2028" in text or "\r" in text
    assert str(UserError(f"a{text}b")).isprintable()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1"])
def test_a_formula_is_quoted(text):
    assert csv_text(text) == "'" + text


def test_a_dollar_sign_is_drawn():
    with mpl.rc_context({"backend": "agg"}):
        figure = plt.figure()
        label = figure.text(0, 0, figure_text("$5 and $\\nonsense"))
        figure.canvas.draw()  # a formula that is none raises here
        plt.close(figure)
    assert label.get_text() == r"\$5 and \$\nonsense"
