"""What `taskct observe` reads: images, their truth, what a case is, and their counterparts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.cases import cases_of
from taskct.apply.observe.choices import CaseFrom, PairBy
from taskct.apply.observe.observation import IMAGES, VERSUS
from taskct.apply.observe.pairing import pair
from taskct.errors import UserError
from taskct.io.image_stack import OpenStack, load_npy, open_images, read_images
from taskct.io.raw_words import RawWords
from taskct.io.stored_images import StoredImages, joined
from taskct.io.truth_table import Truth, read_truth
from taskct.observers.nonprewhitening import check_signal


@dataclass(frozen=True)
class Sources:
    """Where images and their truth lie."""

    images: Path | None = None
    """All images, with `truth`."""
    truth: Path | None = None
    """Table of them."""
    present: Path | None = None
    """Images with the signal, with `absent`."""
    absent: Path | None = None
    """Images without it."""
    versus: tuple[Path, ...] = ()
    """The same trials imaged otherwise: one for `images`, or two, present and absent, for each rival."""
    named: tuple[tuple[str, tuple[Path, ...]], ...] = ()
    """The same, of rivals that have a name."""
    case_from: CaseFrom | None = None
    """What a case is where the table does not say; None for a series."""
    pair_by: PairBy = "auto"
    """How `versus` is paired where the table does not say."""
    site: tuple[float, float] | None = None
    """Row and column of the one site of the signal in all images, pixels, where the table names none."""
    words: tuple[RawWords, ...] = ()
    """How words of MetaImage and NRRD files are read: once for all, or for the images and then for each rival."""

    def __post_init__(self) -> None:
        given = [path is not None for path in (self.images, self.truth, self.present, self.absent)]
        if given not in ([True, True, False, False], [False, False, True, True]):
            raise UserError("give either --present and --absent, or IMAGES and --truth")
        n, wanted = len(self.folders), ("once", "twice, present and absent")[len(self.folders) - 1]
        if len(self.versus) % n:
            times = "once" if len(self.versus) == 1 else f"{len(self.versus)} times"
            raise UserError(f"--versus is given {times}: give it {wanted}, for each set of images")
        for name, paths in self.named:
            if len(paths) != n:
                paths_wanted = ("PATH", "PRESENT,ABSENT")[n - 1]
                raise UserError(f"--versus {name} has {len(paths)} path(s): give it as {name}={paths_wanted}")
        names = [name for name, _ in self.rivals]
        if taken := next((name for name in names if names.count(name) > 1 or name == IMAGES), None):
            raise UserError(f"--versus {taken}: the name is taken; give each set of images a name of its own")
        if self.pair_by != "auto" and not names:
            raise UserError("--pair-by is for a comparison: give --versus, or leave it out")
        if len(self.words) not in (0, 1, 1 + len(names)):
            raise UserError(ways_to_read(len(self.words), 1 + len(names)))

    @property
    def folders(self) -> tuple[Path, ...]:
        """Of the images: one with a table, or that of each class."""
        return tuple(path for path in (self.images, self.present, self.absent) if path is not None)

    @property
    def rivals(self) -> tuple[tuple[str, tuple[Path, ...]], ...]:
        """Every rival with its paths, those without a name first: "versus", or "versus 1" and so on."""
        n = len(self.folders)
        groups = [self.versus[start : start + n] for start in range(0, len(self.versus), n)]
        several = len(groups) + len(self.named) > 1
        unnamed = [(f"{VERSUS} {i}" if several else VERSUS, group) for i, group in enumerate(groups, start=1)]
        return (*unnamed, *self.named)

    def words_of(self, number: int) -> RawWords | None:
        """How words are read of one set of images: 0 for the images, then the rivals."""
        return None if not self.words else self.words[number if len(self.words) > 1 else 0]


def ways_to_read(n_words: int, n_sets: int) -> str:
    """What is wrong with so many ways to read the words of so many sets of images."""
    return (
        f"{n_words} ways to read words for {n_sets} set(s) of images: give --byte-order, --hu-offset and --hu-slope "
        "once for all, or once for the images and then for each --versus"
    )


@dataclass(frozen=True)
class Inputs:
    """Images with their truth, and their counterparts."""

    images: StoredImages
    """HU, or any unit, shape `(n, height, width)`."""
    truth: Truth
    """Of every image, with its case and site."""
    rivals: dict[str, StoredImages]
    """Counterparts by name, in the order of the images; shape as `images`."""
    pixel_mm: float | None
    """Pixel size, mm, where the files tell it and it is one."""
    cases: str
    """What a case is, in words."""
    paired: str | None
    """What paired the counterparts, in words; None without."""


def read_inputs(sources: Sources) -> Inputs:
    """Read images, their truth and their counterparts."""
    parts = [open_images(path, sources.words_of(0)) for path in sources.folders]
    stack = _joined(parts, sources.folders)
    if sources.truth is None:
        signal_present = np.arange(len(stack.images)) < len(parts[0].images)
        known = Truth(signal_present, None, None, None)
    else:
        known = read_truth(sources.truth, stack.names)
    known, cases = _with_cases(known, stack, sources)
    if sources.site is not None:
        known = _with_site(known, sources.site, stack.images.shape[1:])
    rivals, ways = {}, []
    for number, (name, paths) in enumerate(sources.rivals, start=1):
        theirs = [open_images(path, sources.words_of(number)) for path in paths]
        other = _joined(theirs, paths)
        counterparts, how = _paired(sources, known, parts, theirs)
        rivals[name] = other.images.taken(counterparts)
        ways.append(how)
    return Inputs(stack.images, known, rivals, stack.pixel_mm, cases, " and ".join(dict.fromkeys(ways)) or None)


def _paired(
    sources: Sources, known: Truth, parts: list[OpenStack], theirs: list[OpenStack]
) -> tuple[NDArray[np.int64], str]:
    """Number of the counterpart of each image, and what paired them."""
    unnamed = None
    if sources.truth is not None and known.rows is not None and sources.pair_by == "auto":
        try:
            rows = read_truth(sources.truth, theirs[0].names, versus=True).rows
        except UserError as error:  # the table does not name them, but their headers may tell
            unnamed = error
        else:
            assert rows is not None
            return np.argsort(rows)[known.rows], "the truth table"
    try:
        found = [pair(mine.origins, its.origins, sources.pair_by) for mine, its in zip(parts, theirs, strict=True)]
    except UserError as error:
        raise (error if unnamed is None else UserError(f"{error}. By the table: {unnamed}")) from None
    starts = np.cumsum([0, *(len(part.images) for part in parts)])
    counterparts = np.concatenate([order + start for (order, _), start in zip(found, starts, strict=False)])
    return counterparts, " and ".join(dict.fromkeys(way for _, way in found))


def _joined(parts: list[OpenStack], paths: tuple[Path, ...]) -> OpenStack:
    sizes = [stack.images.shape[1:] for stack in parts]
    if sizes[0] != sizes[-1]:
        raise UserError(
            f"{paths[0]} has images of {sizes[0][0]} × {sizes[0][1]} pixels and {paths[-1]} of {sizes[-1][0]} × "
            f"{sizes[-1][1]}: give images of one size"
        )
    if len(parts) == 1:
        return parts[0]
    pixels = {stack.pixel_mm for stack in parts}
    return OpenStack(
        joined([stack.images for stack in parts]),
        tuple(name for stack in parts for name in stack.names),
        pixels.pop() if len(pixels) == 1 else None,
        tuple(origin for stack in parts for origin in stack.origins),
    )


def _with_cases(known: Truth, stack: OpenStack, sources: Sources) -> tuple[Truth, str]:
    if known.cases is not None:
        if sources.case_from is not None:
            raise UserError("the truth table names cases: leave --case-from out, or its column case")
        return known, "cases as the truth table names them"
    cases, words = cases_of(stack.origins, sources.case_from or "series")
    if cases is None:
        return known, words
    for of_class, what in ((known.signal_present, "with"), (~known.signal_present, "without")):
        n_cases = len(np.unique(cases[of_class]))
        if of_class.any() and n_cases < 4:
            raise UserError(
                f"{of_class.sum()} images {what} the signal are of {n_cases} case(s), since {words}, and observers "
                "need 4 to learn from some and be tested on others: give more scans; or --case-from file, if every "
                "image is a trial of its own; or a --truth table with case"
            )
    return replace(known, cases=cases), words


def _with_site(known: Truth, site: tuple[float, float], shape: tuple[int, ...]) -> Truth:
    if known.centres_px is not None:
        raise UserError("the truth table names the site of every image: leave --site out, or row_px and column_px")
    if not all(0.0 <= place <= side - 1 for place, side in zip(site, shape, strict=True)):
        raise UserError(
            f"--site is {site[0]:g},{site[1]:g}; it must lie in the image: rows 0 to {shape[0] - 1}, columns 0 to "
            f"{shape[1] - 1}"
        )
    return replace(known, centres_px=np.tile(np.array(site, dtype=np.float64), (len(known.signal_present), 1)))


def read_signal(path: Path) -> NDArray[np.float64]:
    """Read the mean signal from an image file, HU, shape `(height, width)`."""
    images = read_images(path).images
    if len(images) != 1:
        raise UserError(f"{path.name} holds {len(images)} images: give the mean signal as one image, in HU")
    return check_signal(images[0])


def read_covariance(path: Path) -> NDArray[np.float64]:
    """Read a covariance matrix from a `.npy` file; never a pickle."""
    matrix = load_npy(path)
    if matrix.dtype.kind not in "fiu":
        raise UserError(f"{path.name} is no array of numbers: give a covariance of shape (pixels, pixels)")
    return matrix.astype(np.float64)
