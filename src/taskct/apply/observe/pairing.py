"""Which image of one set is which of another: the same trial, imaged otherwise."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.choices import PairBy
from taskct.errors import UserError
from taskct.io.image_origin import Origin, Scan

_Key = Callable[[Origin], Hashable]


def pair(mine: Sequence[Origin], theirs: Sequence[Origin], pair_by: PairBy = "auto") -> tuple[NDArray[np.int64], str]:
    """Number of the counterpart of each image, shape `(n,)`, and in words what paired them.

    The first of these pairs them that names every image of either set once, and the same ones: the SOPInstanceUID; the
    acquisition, or else the series, with the position of the slice or with its InstanceNumber; the AcquisitionNumber
    with the InstanceNumber; either of them alone; the number in the file, for two stacks; the file's name, without its
    ending. With "name" both are taken in the order of their names, and whoever asks for it knows that this is right.

    Examples
    --------
    >>> from taskct.io.image_origin import origins_of
    >>> mine, theirs = ([o for name in names for o in origins_of(name, 1, None)] for names in ("ab", "ba"))
    >>> pair(mine, theirs)
    (array([1, 0]), 'names of files')
    """
    if len(mine) != len(theirs):
        raise UserError(
            f"{len(theirs)} images are to be compared with {len(mine)}, so they are not the same trials: as many with "
            "and without the signal are wanted"
        )
    if pair_by == "name":
        return np.arange(len(mine)), "the order of the files' names, as --pair-by name has it"
    stacks = all(len({origin.name for origin in origins}) == 1 < len(origins) for origins in (mine, theirs))
    by_number: tuple[str, _Key] = ("numbers in the file", lambda origin: origin.number)
    by_name: tuple[str, _Key] = ("names of files", lambda origin: (origin.name, origin.number))
    for how, key in (*_SCAN_KEYS, by_number if stacks else by_name):
        here, there = [key(origin) for origin in mine], [key(origin) for origin in theirs]
        if None in here or len(set(here)) < len(here) or set(here) != set(there):
            continue
        place = {value: index for index, value in enumerate(there)}
        return np.array([place[value] for value in here], dtype=np.int64), how
    raise UserError(
        f"nothing tells which of the {len(theirs)} images of --versus is which: their files are called otherwise and "
        "no header pairs them (the same instance; or acquisition, or series, and slice). Give both the same names, or "
        "a --truth table with a column versus, or --pair-by name to take both in the order of their names"
    )


def _of_scan(read: Callable[[Scan], Sequence[Hashable]]) -> _Key:
    """A key of what a header says; None where some of it is not there."""

    def key(origin: Origin) -> Hashable:
        parts = () if origin.scan is None else tuple(read(origin.scan))
        return None if not parts or any(part in ("", None, ()) for part in parts) else parts

    return key


_SCAN_KEYS: tuple[tuple[str, _Key], ...] = (
    ("SOPInstanceUID", _of_scan(lambda scan: (scan.image,))),
    ("acquisition and slice position", _of_scan(lambda scan: (scan.acquisition, scan.position))),
    ("acquisition and InstanceNumber", _of_scan(lambda scan: (scan.acquisition, scan.instance_number))),
    ("series and slice position", _of_scan(lambda scan: (scan.series, scan.position))),
    ("series and InstanceNumber", _of_scan(lambda scan: (scan.series, scan.instance_number))),
    ("AcquisitionNumber and InstanceNumber", _of_scan(lambda scan: (scan.acquisition_number, scan.instance_number))),
    ("InstanceNumber", _of_scan(lambda scan: (scan.instance_number,))),
    ("AcquisitionNumber", _of_scan(lambda scan: (scan.acquisition_number,))),
)
