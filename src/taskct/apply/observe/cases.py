"""Which images are one case: slices of one scan, and copies of one image, are not independent trials."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from taskct.apply.observe.choices import CaseFrom
from taskct.errors import UserError
from taskct.io.image_origin import Origin
from taskct.io.stored_images import StoredImages
from taskct.io.truth_table import Truth


def cases_of(origins: Sequence[Origin], case_from: CaseFrom) -> tuple[NDArray[np.int64] | None, str]:
    """Number of the case of every image, None where each is a case of its own; and in words what a case is.

    "series": slices of one DICOM series are one case (those without a SeriesInstanceUID in one folder count as one
    series), and so are images of other kinds that lie in one sub-folder; those at the top of the folder, or in a stack,
    are a case each, but where a folder has several volumes of NIfTI, MetaImage or NRRD, each of them is one.
    "acquisition": all slices of one acquisition, whatever the series, DICOM alone. "file": every image is a case of its
    own.

    Examples
    --------
    >>> from taskct.io.image_origin import origins_of
    >>> files = ["a/0.npy", "a/1.npy", "b/0.npy"]
    >>> cases_of([origin for name in files for origin in origins_of(name, 1, None)], "series")
    (array([0, 0, 1]), 'a sub-folder is a case')
    """
    if case_from == "file":
        return None, "every image is a case"
    labels = [_label(index, origin, case_from) for index, origin in enumerate(origins)]
    numbers: NDArray[np.int64] | None = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    dicom = any(origin.scan is not None for origin in origins)
    volumes = any(origin.volume and not origin.folder for origin in origins)
    what = "an acquisition" if case_from == "acquisition" else "a series" if dicom else "a sub-folder"
    if volumes and not dicom:
        what = "a volume"
    if len(set(labels)) == len(labels):
        numbers, what = None, "every image"
    return numbers, f"{what} is a case{_shared_acquisitions(labels, origins)}"


def _shared_acquisitions(labels: Sequence[str], origins: Sequence[Origin]) -> str:
    """That cases share acquisitions, where headers say so: such are not independent. Empty where none do."""
    by_acquisition: dict[str, set[str]] = {}
    for label, origin in zip(labels, origins, strict=True):
        if origin.scan is not None and origin.scan.acquisition:
            by_acquisition.setdefault(origin.scan.acquisition, set()).add(label)
    n_shared = sum(len(sharing) > 1 for sharing in by_acquisition.values())
    if not n_shared:
        return ""
    n_cases = len(set().union(*(sharing for sharing in by_acquisition.values() if len(sharing) > 1)))
    return f", but {n_cases} of them come from {n_shared} acquisition(s): see --case-from acquisition"


def _label(index: int, origin: Origin, case_from: CaseFrom) -> str:
    scan = origin.scan
    if case_from == "acquisition":
        if scan is None or not scan.acquisition:
            raise UserError(
                f"image {index} tells no acquisition (IrradiationEventUID, or StudyInstanceUID with AcquisitionNumber, "
                "of DICOM): give --case-from series or file, or a truth table with case"
            )
        return scan.acquisition
    if scan is not None:
        return f"series {scan.series}" if scan.series else f"folder {origin.folder}"
    if origin.folder:
        return f"folder {origin.folder}"
    return f"volume {origin.name}" if origin.volume else f"image {index}"


def join_copies(stacks: Mapping[str, NDArray[np.float32] | StoredImages], truth: Truth) -> tuple[Truth, list[str]]:
    """The truth with copies of one image in one case, so that none is learned from and tested on; and notes.

    `stacks` are sets of images by what notes call them.
    """
    n = len(truth.signal_present)
    joined = np.arange(n) if truth.cases is None else np.unique(truth.cases, return_inverse=True)[1].astype(np.int64)
    notes = []
    for what, stack in stacks.items():
        groups = _copies(StoredImages.of(stack))
        for group in groups:
            present = truth.signal_present[group]
            if present.any() and not present.all():
                with_signal, without = group[present][0], group[~present][0]
                raise UserError(
                    f"numbers {with_signal} and {without} of the {what} are the same to the last bit, but the one is "
                    "said to hold the signal and the other not to: give other images for one class"
                )
            joined[np.isin(joined, joined[group])] = joined[group].min()
        if groups:
            n_copies = sum(len(group) for group in groups)
            first = ", ".join(map(str, groups[0][:4].tolist()))
            notes.append(
                f"{n_copies} of the {n} {what} are copies of {len(groups)}, the first are numbers {first}: copies of "
                "one image are one case"
            )
    return (replace(truth, cases=joined) if notes else truth), notes


def _copies(images: StoredImages) -> list[NDArray[np.int64]]:
    """Numbers of the images that are the same to the last bit, a group for each image that is there twice or more."""
    of_digest: dict[bytes, list[int]] = {}
    for some, block in images.blocks():
        for number, image in zip(range(some.start, some.stop), block, strict=True):
            digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
            of_digest.setdefault(digest, []).append(number)
    return [np.array(numbers, dtype=np.int64) for numbers in of_digest.values() if len(numbers) > 1]
