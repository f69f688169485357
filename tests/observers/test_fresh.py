"""One observer that the trials do not suit takes nothing from the others."""

import pytest

from taskct.errors import UserError
from taskct.observers.fresh import each_alone


def refuse(name):
    if name.startswith("bad"):
        raise UserError(f"{name} does not fit")
    return name.upper()


def test_the_others_go_on():
    assert each_alone(["a", "bad", "c"], refuse) == ({"a": "A", "c": "C"}, {"bad": "bad does not fit"})
    assert each_alone([], refuse) == ({}, {})


def test_all_failed():
    with pytest.raises(UserError, match="bad1: bad1 does not fit; bad2: bad2 does not fit"):
        each_alone(["bad1", "bad2"], refuse)

    def few(name):
        raise UserError("too few")

    with pytest.raises(UserError, match=r"^bad, bad_too: too few$"):
        each_alone(["bad", "bad_too"], few)


def test_a_fault_of_the_program_goes_on_up():
    with pytest.raises(ZeroDivisionError):
        each_alone(["a"], lambda name: 1 / 0)
