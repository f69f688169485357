"""What readers are told and asked, in the words of each design."""

import numpy as np

from taskct.reading_room.cases import CaseImages
from taskct.reading_room.design import ReadingPlan
from taskct.reading_room.protocol import Design

QUESTIONS: dict[Design, str] = {
    "2afc": "Which image holds the signal?",
    "4afc": "Which image holds the signal?",
    "rating": "How sure are you that the image holds a signal?",
    "locate": "Where is the most suspicious place, and how sure are you that the image holds a signal?",
    "froc": "Mark every place that you suspect, each with your confidence.",
}

_TASKS: dict[Design, str] = {
    "2afc": "Each trial shows two images of the same kind. Exactly one of them holds a signal. Choose it; where you "
    "see none, guess.",
    "4afc": "Each trial shows four images of the same kind. Exactly one of them holds a signal. Choose it; where you "
    "see none, guess.",
    "rating": "Each trial shows one image, with or without a signal. About half of the images hold one. Say how sure "
    "you are that there is one.",
    "locate": "Each trial shows one image, with or without a signal. About half of the images hold one. Mark the most "
    "suspicious place, also where you see nothing, and say how sure you are that there is a signal.",
    "froc": "Each trial shows one image that may hold signals or none. Mark the middle of each place that you suspect "
    "and say how sure you are. Mark nothing where you suspect nothing.",
}

_SCALES_OF_MARKS = {
    5: "The confidence of a mark runs from 1 (very low) to 5 (very high). Use the whole scale.",
    101: "The confidence of a mark runs from 0 (very low) to 100 (very high). Use the whole scale.",
}

_SCALES = {
    5: "Confidence runs from 1 (surely no signal) to 5 (surely a signal). Use the whole scale.",
    101: "Confidence runs from 0 (surely no signal) to 100 (surely a signal). Use the whole scale.",
}


SAME_PLACE_PX = 1.0
"""Places that differ by no more are one."""

CENTRAL = 0.3
"""Of the side of an image: where no signal is farther from the middle, readers are told how far."""


def question_of(design: Design) -> str:
    """What is asked at each trial."""
    return QUESTIONS[design]


def instructions_of(plan: ReadingPlan, cases: CaseImages, *, trained: bool) -> tuple[str, ...]:
    """What a reader is told before the first trial, in paragraphs."""
    told = [_TASKS[plan.design], *_about_signals(cases)]
    if plan.points:
        told.append((_SCALES_OF_MARKS if plan.design == "froc" else _SCALES)[plan.points])
    if trained:
        told.append(
            "In the training trials signals are easy to see, and you are told what was right. Afterwards nothing is "
            "told, and signals may be much fainter."
        )
    told.append(
        "Look in a dim room, at the distance that suits you, and keep both. Take the time you need, and a break when "
        "you are tired. An answer cannot be changed once it is given."
    )
    return tuple(told)


def _about_signals(cases: CaseImages) -> list[str]:
    """Where signals may lie, if that is known, and whether they are bright or dark."""
    lesions = [lesion for of_case in cases.lesions for lesion in of_case]
    if not lesions or not all(lesions_of for lesions_of, p in zip(cases.lesions, cases.present, strict=True) if p):
        return []
    height, width = next(iter(cases.images.values())).shape[1:]
    places = np.array([(lesion.row_px, lesion.column_px) for lesion in lesions])
    middle = np.array([(height - 1) / 2.0, (width - 1) / 2.0])
    reach = np.abs(places - middle).max()
    if np.ptp(places, axis=0).max() > SAME_PLACE_PX:
        where = "A signal may lie anywhere in the image."
        if reach < CENTRAL * min(height, width):
            far = int(np.ceil(reach))
            where = f"The middle of a signal is within {far} pixels of the middle of the image, across and down."
    elif reach <= SAME_PLACE_PX:
        where = "A signal is always in the middle of the image."
    else:
        row, column = np.rint(places.mean(axis=0)).astype(int)
        where = f"A signal is always {row} pixels from the top and {column} from the left."
    contrasts = [lesion.contrast_hu for lesion in lesions if lesion.contrast_hu]
    if len(contrasts) < len(lesions):
        return [where]
    kinds = {contrast > 0.0 for contrast in contrasts}
    told = "brighter or darker" if len(kinds) > 1 else "brighter" if True in kinds else "darker"
    return [f"{where} A signal is {told} than what is around it."]
