"""What other settings would do to what a run folder holds: which stages stay, and which would be done anew."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from taskct.config import Settings, dotted_settings
from taskct.study.graph import Kind, content_keys, stages_of

KEPT: tuple[Kind, ...] = ("simulate", "import", "tune", "pretrain", "finetune")
"""Kinds of stages that are never thrown away for other settings: they take the time of a study."""

WORDS: dict[Kind, tuple[str, str]] = {
    "simulate": ("the trials", "the trials"),
    "import": ("import", "imports"),
    "tune": ("filter", "filters"),
    "pretrain": ("pretraining", "pretrainings"),
    "finetune": ("fine-tuning", "fine-tunings"),
    "blend": ("blend", "blends"),
    "evaluate": ("evaluation", "evaluations"),
    "results": ("the result files", "the result files"),
}
"""One stage of a kind, and several."""

MAX_NAMED = 8
MAX_VALUE = 60

_LACKS = object()


@dataclass(frozen=True)
class Change:
    """What another study in the same folder comes to."""

    settings: tuple[str, ...]
    """The settings that differ, each as `name OLD → NEW`."""
    anew: tuple[Kind, ...]
    """Kinds of the stages that are done and would be done anew."""
    left_out: tuple[str, ...]
    """Names of the stages that are done and belong to the study no more: their files stay, unused."""
    more: tuple[Kind, ...]
    """Kinds of the stages that come in addition."""

    @property
    def loses(self) -> tuple[Kind, ...]:
        """Of what would be done anew: what must not be thrown away."""
        return tuple(kind for kind in self.anew if kind in KEPT)

    @property
    def differences(self) -> str:
        """The settings that differ, in one line."""
        rest = len(self.settings) - MAX_NAMED
        return ", ".join(self.settings[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def change_of(held: Settings, asked: Settings, done: Collection[str], fits: Callable[[str], bool]) -> Change:
    """What becomes of the finished stages `done` of the study `held` when its folder gets the study `asked`.

    A stage stays where the settings that it and those before it read are the same in both. `fits` tells whether the
    record of a stage that `held` does not have, since it was left out before, is one of `asked`.
    """
    before, after = content_keys(held), content_keys(asked)
    kinds = {stage.name: stage.kind for stage in stages_of(asked)}
    return Change(
        settings=tuple(differences(held, asked)),
        anew=tuple(
            kinds[name]
            for name in after
            if name in done and not (before[name] == after[name] if name in before else fits(name))
        ),
        left_out=tuple(name for name in before if name in done and name not in after),
        more=tuple(kinds[name] for name in after if name not in done),
    )


def counted(kinds: Collection[Kind]) -> str:
    """Stages in words, such as `2 fine-tunings and 3 evaluations`.

    Examples
    --------
    >>> counted(["simulate", "finetune", "finetune", "evaluate"])
    'the trials, 2 fine-tunings and 1 evaluation'
    """
    found = Counter(kinds)
    parts = []
    for kind, (one, several) in WORDS.items():
        if found[kind]:
            parts.append(one if one == several else f"{found[kind]} {one if found[kind] == 1 else several}")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def differences(held: Settings, asked: Settings) -> list[str]:
    """Dotted names of the settings in which two studies differ, each with its old and its new value."""
    a, b = by_name(held.model_dump(mode="json")), by_name(asked.model_dump(mode="json"))
    return [f"{name} {_short(a[name])} → {_short(b[name])}" for name in a if a[name] != b[name]]


def _short(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def by_name(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a tree of settings by dotted name; a setting that the tree lacks is left out.

    Examples
    --------
    >>> by_name({"seed": 3, "scanner": {"i0": 9e5}})
    {'seed': 3, 'scanner.i0': 900000.0}
    """
    found = {}
    for name, _ in dotted_settings():
        value: Any = tree
        for part in name.split("."):
            value = value.get(part, _LACKS) if isinstance(value, Mapping) else _LACKS
        if value is not _LACKS:
            found[name] = value
    return found
