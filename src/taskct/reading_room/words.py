"""What readers are told and asked, in the words of each design."""

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

_SCALES = {
    5: "Confidence runs from 1 (surely no signal) to 5 (surely a signal). Use the whole scale.",
    101: "Confidence runs from 0 (surely no signal) to 100 (surely a signal). Use the whole scale.",
}


def question_of(design: Design) -> str:
    """What is asked at each trial."""
    return QUESTIONS[design]


def instructions_of(plan: ReadingPlan, *, trained: bool) -> tuple[str, ...]:
    """What a reader is told before the first trial, in paragraphs."""
    told = [_TASKS[plan.design]]
    if plan.points:
        told.append(_SCALES[plan.points])
    if trained:
        told.append(
            "First come a few training images with a signal that is easy to see. There you are told what was right. "
            "Afterwards nothing is told, and signals may be much fainter."
        )
    told.append(
        "Look in a dim room, at the distance that suits you, and keep both. Take the time you need, and a break when "
        "you are tired. An answer cannot be changed once it is given."
    )
    return tuple(told)
