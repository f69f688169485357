"""Which ratings an analysis over readers and cases can use, and what is left out of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.mrmc.ratings import Ratings

_NAMED = 3  # at most so many names in a note


def only_rated(ratings: Ratings) -> tuple[Ratings, tuple[str, ...]]:
    """Leave out cases that nobody rated, readers who rated nothing, and modalities without any rating; with notes.

    They hold no information, but would make a study seem not fully crossed and larger than it is. A UserError, if
    nothing was rated, or no case of one of the classes.
    """
    rated = ~np.isnan(ratings.scores)
    if not rated.any():
        raise UserError("nobody rated anything in this study: give at least one rating")
    of_modality, of_reader, of_case = (np.atleast_1d(rated.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    for present, kind in ((True, "present"), (False, "absent")):
        of_class = ratings.signal_present == present
        if of_class.any() and not of_case[of_class].any():
            raise UserError(
                f"none of the {of_class.sum()} signal-{kind} cases was rated: an ROC analysis needs cases of both "
                "classes"
            )
    notes = []
    if not of_case.all():
        n_present = int((ratings.signal_present & ~of_case).sum())
        n_absent = int((~of_case).sum()) - n_present
        notes.append(
            f"left out, since nobody rated them in these modalities: {n_present} signal-present and {n_absent} "
            f"signal-absent cases ({_some(ratings.cases, ~of_case)})"
        )
    if not of_reader.all():
        kind = ratings.reader_kind
        names = _some(ratings.readers, ~of_reader)
        notes.append(f"left out, since they rated nothing in these modalities: {_count(kind, ~of_reader)} ({names})")
    if not of_modality.all():
        names = _some(ratings.modalities, ~of_modality)
        notes.append(f"left out, since nobody rated a case in them: {_count('modality', ~of_modality)} ({names})")
    if not notes:
        return ratings, ()
    kept = [np.flatnonzero(of) for of in (of_modality, of_reader, of_case)]
    return ratings.part(modalities=kept[0], readers=kept[1], cases=kept[2]), tuple(notes)


def analysable(ratings: Ratings) -> tuple[Ratings, tuple[str, ...]]:
    """Leave out modalities that allow no variance over readers and cases, each with a note.

    One that a single reader rated is such. A UserError, if none is left or a class has no cases. Of `only_rated`
    ratings.
    """
    for of_class, name in ((ratings.signal_present, "present"), (~ratings.signal_present, "absent")):
        if not of_class.any():
            raise UserError(f"no signal-{name} case: an ROC analysis needs cases of both classes")
    reasons = {index: reason for index in range(len(ratings.modalities)) if (reason := _why_not(ratings, index))}
    if not reasons:
        return ratings, ()
    kept = [index for index in range(len(ratings.modalities)) if index not in reasons]
    if not kept:
        each = "; ".join(f"{ratings.modalities[index]!r}: {reason}" for index, reason in reasons.items())
        kind = ratings.reader_kind
        raise UserError(
            f"no modality allows a variance over {kind}s and cases ({each}): have at least 2 {kind}s, 2 signal-present "
            "and 2 signal-absent cases in one"
        )
    rest, _ = only_rated(ratings.part(modalities=kept))
    kind = ratings.reader_kind
    notes = [
        f"{ratings.modalities[index]}: left out of averages and differences, which need two {kind}s with different "
        f"cases of both classes: {reason}. Its AUCs are among those of each {kind}"
        for index, reason in reasons.items()
    ]
    return rest, tuple(notes)


def _why_not(ratings: Ratings, modality: int) -> str:
    """Why a modality allows no variance over readers and cases; empty if it does."""
    rated = ~np.isnan(ratings.scores[modality])
    classes = [rated[:, of_class] for of_class in (ratings.signal_present, ~ratings.signal_present)]
    both = np.all([of_class.any(axis=1) for of_class in classes], axis=0)
    kind = ratings.reader_kind
    if both.sum() < 2:
        if not both.any():
            return f"no {kind} rated cases of both classes in it"
        return f"only {kind} {_some(ratings.readers, both)} rated cases of both classes in it"
    # Two readers whose successes can differ in both cases: together they rated two of each class.
    pairs = np.ones((int(both.sum()),) * 2, dtype=np.bool_)
    for of_class in classes:
        own = of_class[both].astype(np.int64)
        shared = own @ own.T
        n = own.sum(axis=1)
        pairs &= n[:, None] + n - shared >= 2
    if pairs[~np.eye(len(pairs), dtype=np.bool_)].any():
        return ""
    n_present, n_absent = (int(of_class.any(axis=0).sum()) for of_class in classes)
    return f"the {kind}s rated {n_present} signal-present and {n_absent} signal-absent cases in it"


def _count(kind: str, chosen: NDArray[np.bool_]) -> str:
    """How many there are of a kind."""
    n = int(chosen.sum())
    plural = "modalities" if kind == "modality" else f"{kind}s"
    return f"{n} {kind if n == 1 else plural}"


def _some(names: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """The first few names."""
    of = [repr(names[index]) for index in np.flatnonzero(chosen).tolist()]
    return ", ".join(of[:_NAMED]) + (", …" if len(of) > _NAMED else "")
