"""Marks that readers set on images, each with its confidence: what FROC and LROC analyses are made from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError

NO_LESION = -1
"""Stands for the lesion of a mark that hits none."""


class CaseReading(NamedTuple):
    """A case that a reader read in a modality, whether they marked anything or not."""

    modality: str
    reader: str
    case: str


@dataclass(frozen=True)
class TrueLesion:
    """A lesion that is there."""

    case: str
    name: str
    """Unlike that of any other lesion of the case."""
    weight: float | None = None
    """What it counts for within its case, above 0; None where all lesions of the case count the same."""
    row_px: float = np.nan
    column_px: float = np.nan
    """Of its centre; NaN where marks name the lesions they hit."""
    radius_px: float = np.nan
    """A mark within it of the centre hits the lesion, at least 0."""


@dataclass(frozen=True)
class ScoredMark:
    """A mark of which is known what it hits."""

    modality: str
    reader: str
    case: str
    lesion: str | None
    """Name of the lesion, None for a false mark."""
    rating: float
    """Confidence, finite; higher is surer."""


@dataclass(frozen=True)
class PlacedMark:
    """A mark at a place of the image."""

    modality: str
    reader: str
    case: str
    row_px: float
    column_px: float
    """The middle of the first pixel is (0, 0)."""
    rating: float
    """Confidence, finite; higher is surer."""


@dataclass(frozen=True)
class MarkStudy:
    """Marks of readers in modalities, with the lesions that there are.

    Cases with a lesion are diseased, the others normal. `of` and `of_places` make one.
    """

    modalities: tuple[str, ...]
    """Names of the modalities."""
    readers: tuple[str, ...]
    """Names of the readers."""
    cases: tuple[str, ...]
    """Names of the cases."""
    lesion_case: NDArray[np.intp]
    """Number of the case of each lesion, shape `(n_lesions,)`, ascending."""
    lesion_weight: NDArray[np.float64]
    """Weight of each lesion, shape `(n_lesions,)`; those of a case sum to 1."""
    read: NDArray[np.bool_]
    """Who read what, shape `(n_modalities, n_readers, n_cases)`."""
    mark_at: NDArray[np.intp]
    """Numbers of the modality, reader, case and lesion of each mark, shape `(n_marks, 4)`; `NO_LESION` for a false
    mark."""
    mark_rating: NDArray[np.float64]
    """Confidence of each mark, shape `(n_marks,)`."""
    reader_kind: str = "reader"
    """What a reader is, for notes and tables."""
    notes: tuple[str, ...] = ()
    """What a reader of the results must know of where the marks come from."""

    @classmethod
    def of(
        cls, readings: Iterable[CaseReading], lesions: Iterable[TrueLesion], marks: Iterable[ScoredMark]
    ) -> "MarkStudy":
        """Build a study; modalities, readers and cases come in the order in which readings name them.

        Parameters
        ----------
        readings
            All cases that were read, those without a mark and without a lesion too.
        lesions
            All lesions of these cases, marked or not; lesions of cases that nobody read are left out.
        marks
            All marks. Of several on one lesion the highest counts; each false mark counts.

        Raises
        ------
        UserError
            If nothing was read, a lesion stands twice, some lesions of a case have weights and others none, a weight is
            not above 0, a mark is of a case that was not read or names a lesion that is not there, or a rating is not
            finite.

        Examples
        --------
        >>> readings = [CaseReading("A", "Ann", case) for case in ("sick", "well")]
        >>> marks = [ScoredMark("A", "Ann", "sick", "node", 4.0), ScoredMark("A", "Ann", "well", None, 1.0)]
        >>> study = MarkStudy.of(readings, [TrueLesion("sick", "node")], marks)
        >>> study.diseased.tolist(), study.highest_on_lesions().tolist()
        ([True, False], [[[4.0]]])
        """
        done = dict.fromkeys(readings)
        if not done:
            raise UserError("nobody read a case in this study: give at least one reading")
        modalities, readers, cases = (tuple(dict.fromkeys(names)) for names in zip(*done, strict=True))
        index = [{name: number for number, name in enumerate(names)} for names in (modalities, readers, cases)]
        read = np.zeros([len(names) for names in index], dtype=np.bool_)
        for reading in done:
            read[tuple(of[name] for of, name in zip(index, reading, strict=True))] = True
        known = sorted((one for one in lesions if one.case in index[2]), key=lambda one: index[2][one.case])
        number = {(one.case, one.name): at for at, one in enumerate(known)}
        if len(number) < len(known):
            names = [(one.case, one.name) for one in known]
            case, name = next(one for at, one in enumerate(names) if one in names[:at])
            raise UserError(f"the lesion {name!r} of case {case!r} stands twice; give it once")
        rows, ratings = [], []
        for mark in marks:
            key = CaseReading(mark.modality, mark.reader, mark.case)
            if key not in done:
                raise UserError(
                    f"reader {mark.reader!r} marked case {mark.case!r} in modality {mark.modality!r}, but is not said "
                    "to have read it"
                )
            if mark.lesion is not None and (mark.case, mark.lesion) not in number:
                raise UserError(f"a mark names the lesion {mark.lesion!r} of case {mark.case!r}, which is not there")
            if not np.isfinite(mark.rating):
                raise UserError(f"the rating of a mark on case {mark.case!r} is {mark.rating}; it must be finite")
            lesion = NO_LESION if mark.lesion is None else number[mark.case, mark.lesion]
            rows.append([of[name] for of, name in zip(index, key, strict=True)] + [lesion])
            ratings.append(mark.rating)
        return cls(
            modalities,
            readers,
            cases,
            lesion_case=np.array([index[2][one.case] for one in known], dtype=np.intp),
            lesion_weight=_weights(known),
            read=read,
            mark_at=np.array(rows, dtype=np.intp).reshape(-1, 4),
            mark_rating=np.array(ratings, dtype=np.float64),
        )

    @classmethod
    def of_places(
        cls, readings: Iterable[CaseReading], lesions: Iterable[TrueLesion], marks: Iterable[PlacedMark]
    ) -> "MarkStudy":
        """Build a study of marks at places: each hits the nearest lesion within whose radius it lies, or none.

        As `of`, with its errors; a UserError, too, if a lesion has no place or no radius, or a mark no place.

        Examples
        --------
        >>> lesions = [TrueLesion("c", "node", row_px=10, column_px=10, radius_px=3)]
        >>> marks = [PlacedMark("A", "Ann", "c", 12, 12, 5), PlacedMark("A", "Ann", "c", 30, 10, 2)]
        >>> MarkStudy.of_places([CaseReading("A", "Ann", "c")], lesions, marks).mark_at[:, 3].tolist()
        [0, -1]
        """
        lesions = list(lesions)
        of_case: dict[str, list[TrueLesion]] = {}
        for lesion in lesions:
            if not np.isfinite([lesion.row_px, lesion.column_px, lesion.radius_px]).all() or lesion.radius_px < 0.0:
                raise UserError(
                    f"the lesion {lesion.name!r} of case {lesion.case!r} has no place or no radius; give row, column "
                    "and a radius of at least 0, in pixels"
                )
            of_case.setdefault(lesion.case, []).append(lesion)
        return cls.of(readings, lesions, (_scored(mark, of_case.get(mark.case, [])) for mark in marks))

    @property
    def diseased(self) -> NDArray[np.bool_]:
        """Whether a case has a lesion, shape `(n_cases,)`."""
        return np.bincount(self.lesion_case, minlength=len(self.cases)) > 0

    def highest_on_lesions(self) -> NDArray[np.float64]:
        """Highest rating on each lesion, `(n_modalities, n_readers, n_lesions)`; −inf unmarked, NaN not read."""
        highest = np.full((*self.read.shape[:2], len(self.lesion_case)), -np.inf)
        hit = self.mark_at[:, 3] != NO_LESION
        modality, reader, _, lesion = self.mark_at[hit].T
        np.maximum.at(highest, (modality, reader, lesion), self.mark_rating[hit])
        highest[~self.read[..., self.lesion_case]] = np.nan
        return highest

    def highest_false(self) -> NDArray[np.float64]:
        """Highest rating of a false mark, `(n_modalities, n_readers, n_cases)`; −inf without one, NaN not read."""
        highest = np.full(self.read.shape, -np.inf)
        missed = self.mark_at[:, 3] == NO_LESION
        np.maximum.at(highest, tuple(self.mark_at[missed, :3].T), self.mark_rating[missed])
        highest[~self.read] = np.nan
        return highest

    def part(self, modalities: Sequence[int]) -> "MarkStudy":
        """Some modalities, by their numbers and in that order; cases that nobody read in them stay."""
        kept = {modality: at for at, modality in enumerate(modalities)}
        mark_at = self.mark_at[np.isin(self.mark_at[:, 0], list(kept))].copy()
        ratings = self.mark_rating[np.isin(self.mark_at[:, 0], list(kept))]
        mark_at[:, 0] = [kept[number] for number in mark_at[:, 0].tolist()]
        names = tuple(self.modalities[number] for number in modalities)
        read = self.read[list(modalities)]
        return replace(self, modalities=names, read=read, mark_at=mark_at, mark_rating=ratings)


def check_one_mark(study: MarkStudy) -> None:
    """Refuse a study in which a case that was read has not just one mark; a UserError."""
    n_marks = np.zeros(study.read.shape, dtype=np.int64)
    np.add.at(n_marks, tuple(study.mark_at[:, :3].T), 1)
    wrong = np.argwhere(study.read & (n_marks != 1))
    if len(wrong):
        modality, reader, case = wrong[0]
        raise UserError(
            f"case {study.cases[case]!r} has {n_marks[modality, reader, case]} marks of reader "
            f"{study.readers[reader]!r} in modality {study.modalities[modality]!r}: an LROC analysis needs just one, "
            "at the most suspicious place"
        )


def _scored(mark: PlacedMark, lesions: Sequence[TrueLesion]) -> ScoredMark:
    """What a mark hits."""
    if not np.isfinite([mark.row_px, mark.column_px]).all():
        raise UserError(f"a mark on case {mark.case!r} has no place; give its row and column in pixels")
    near = [(float(np.hypot(mark.row_px - one.row_px, mark.column_px - one.column_px)), one) for one in lesions]
    hit = min(((distance, at) for at, (distance, one) in enumerate(near) if distance <= one.radius_px), default=None)
    name = None if hit is None else near[hit[1]][1].name
    return ScoredMark(mark.modality, mark.reader, mark.case, name, mark.rating)


def _weights(lesions: Sequence[TrueLesion]) -> NDArray[np.float64]:
    """Weights that sum to 1 in each case."""
    of_case: dict[str, list[float | None]] = {}
    for one in lesions:
        of_case.setdefault(one.case, []).append(one.weight)
    for case, weights in of_case.items():
        if len({weight is None for weight in weights}) > 1:
            raise UserError(f"some lesions of case {case!r} have a weight and others none; give all or none")
        if not all(weight is None or (np.isfinite(weight) and weight > 0.0) for weight in weights):
            raise UserError(f"a weight of a lesion of case {case!r} is not above 0")
    raw = np.array([1.0 if one.weight is None else one.weight for one in lesions], dtype=np.float64)
    total = {case: sum(1.0 if weight is None else weight for weight in weights) for case, weights in of_case.items()}
    return raw / np.array([total[one.case] for one in lesions], dtype=np.float64)
