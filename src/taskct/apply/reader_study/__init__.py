"""Analyses of a reader study beside its AUCs; each makes a `Section` of what was asked."""

from collections.abc import Callable

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.section import Section
from taskct.apply.reader_study.wanted import Wanted

SECTIONS: tuple[Callable[[ReaderStudy, Wanted], Section | None], ...] = ()
"""In the order of the page; each gives None where it was not asked for."""


def sections_of(study: ReaderStudy, wanted: Wanted) -> list[Section]:
    """All that was asked for."""
    found = (make(study, wanted) for make in SECTIONS)
    return [section for section in found if section is not None]
