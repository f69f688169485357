"""Analyses of a reader study beside its AUCs; each makes a `StudySection` of what was asked."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.agreement import agreement_section
from taskct.apply.reader_study.clustered import clustered_section
from taskct.apply.reader_study.operating import operating_section
from taskct.apply.reader_study.program import program_section
from taskct.apply.reader_study.section import StudySection
from taskct.apply.reader_study.sizes import sizes_section
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError

SECTIONS: tuple[Callable[[ReaderStudy, Wanted], StudySection | None], ...] = (
    clustered_section,
    operating_section,
    program_section,
    agreement_section,
    sizes_section,
)
"""In the order of the page; each gives None where it was not asked for."""


def without_programs(study: ReaderStudy, programs: Sequence[str]) -> ReaderStudy:
    """The study of the people alone: programs are no sample of readers, so averages over readers leave them out.

    A modality that programs alone rated goes too. A UserError, if a program is no reader of it or nobody is left.
    """
    if not programs:
        return study
    ratings = study.ratings
    if unknown := [name for name in programs if name not in ratings.readers]:
        known = ", ".join(ratings.readers)
        raise UserError(f"--program {unknown[0]}: the ratings hold no such {ratings.reader_kind}; there are {known}")
    readers = [r for r, name in enumerate(ratings.readers) if name not in programs]
    if not readers:
        raise UserError("--program names every reader: leave out those who are people")
    rated = ~np.isnan(ratings.scores[:, readers]).all(axis=(1, 2))
    kept = ratings.part(modalities=np.flatnonzero(rated), readers=readers)
    pairs = tuple(pair for pair in study.pairs if set(pair) <= set(kept.modalities))
    return replace(study, ratings=kept, pairs=pairs)


def sections_of(study: ReaderStudy, wanted: Wanted) -> list[StudySection]:
    """All that was asked for."""
    found = (make(study, wanted) for make in SECTIONS)
    return [section for section in found if section is not None]
