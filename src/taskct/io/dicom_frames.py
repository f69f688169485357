"""Enhanced multi-frame CT: the header of each frame as a classic single-frame slice has it."""

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

_MULTI_FRAME = (
    *_GROUPS,
    *("NumberOfFrames", "DimensionOrganizationSequence", "DimensionIndexSequence", "DimensionOrganizationType"),
    *("ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber"),
    *("SOPInstanceUIDOfConcatenationSource", "FrameIncrementPointer"),
)
"""What speaks of several frames, and so of nothing in a slice."""


def is_multi_frame(dataset: Dataset) -> bool:
    """Whether an image holds its geometry frame by frame."""
    return _GROUPS[1] in dataset


def frame_headers(dataset: Dataset) -> list[Dataset]:
    """Headers of all frames, in the order of the file, as of single-frame slices; the macros of a frame count most.

    What a library raises on a broken sequence is passed on.
    """
    leave = {tag_for_keyword(keyword) for keyword in _MULTI_FRAME}
    common = Dataset({tag: element for tag, element in dataset.items() if int(tag) not in leave})
    common.file_meta = dataset.file_meta
    common.SOPClassUID = CTImageStorage
    shared = dataset.get(_GROUPS[0]) or []
    headers = []
    for number, frame in enumerate(dataset[_GROUPS[1]].value, start=1):
        header = Dataset(dict(common.items()))  # a copy of a Dataset shares its elements
        header.file_meta = common.file_meta
        for group in (*shared[:1], frame):
            for macro in group:
                if macro.VR == "SQ" and len(macro.value):
                    header.update({element.tag: element for element in macro.value[0]})
        if "FrameType" in header:
            header.ImageType = header.FrameType
            del header.FrameType
        header.InstanceNumber = number
        headers.append(header)
    return headers
