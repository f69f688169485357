"""Which arms of a run belong together, and how a figure draws each family: a colour, a mark and a line of its own."""

from dataclasses import dataclass
from itertools import cycle

from taskct.names import LOW_DOSE, ArmName, setting_text
from taskct.report.run import Run
from taskct.report.schema import ArmFigures

# Okabe and Ito's colours, told apart with every common colour vision.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER = "#56B4E9", "#E69F00"
BLACK, GREY, VIOLET = "#000000", "#6E6E6E", "#6A51A3"
WINE = "#882255"  # of Tol's colours, told apart from those above


@dataclass(frozen=True)
class Look:
    """How a family is drawn."""

    color: str
    marker: str
    """A mark of matplotlib; `SYMBOLS` has its name in the page's script."""
    line: str
    """A line of matplotlib; empty for none."""


SYMBOLS = {
    "*": "star",
    "o": "circle",
    "s": "square",
    "D": "diamond2",
    "v": "triangle2",
    "^": "triangle",
    "P": "plus",
    "X": "times",
}
DASHES = {"-": "", "--": "5 3", ":": "1.5 2.5", "-.": "6 2.5 1.5 2.5", "": ""}
"""Lines of matplotlib as SVG dashes."""

_FIRST = (Look(BLUE, "o", "-"), Look(ORANGE, "s", "--"), Look(GREEN, "D", ":"))
# Every further family: no two have colour and mark in common before 21 of them.
_FURTHER = [
    Look(color, marker, line)
    for marker, line in (("v", "-."), ("D", "-"), ("o", "--"), ("s", ":"))
    for color in (SKY, AMBER, PINK, GREEN, BLUE, ORANGE)
    if (color, marker) not in {(look.color, look.marker) for look in _FIRST}
]
_MSE, _FILTERS, _PATH = Look(BLACK, "^", ""), Look(PINK, "P", ""), Look(WINE, "*", "-")
_IMPORTS = Look(AMBER, "X", ":")


@dataclass(frozen=True)
class Family:
    """Arms that differ in one number, such as λ, α or a price."""

    label: str
    look: Look
    names: tuple[str, ...]
    """Arms with a mark, in the order of the number."""
    line: tuple[str, ...]
    """Arms that the line runs through; empty for no line."""


def families(run: Run) -> list[Family]:
    """Group the arms of a run: those trained with λ, task paths, blends, imports, MSE and filters, every variant apart.

    The control's own family comes first. The low-dose images belong to none.
    """
    named = {arm.name: arm for arm in run.summary.arms if ArmName.parse(arm.name).kind != "low-dose"}
    groups: dict[tuple[object, ...], list[ArmFigures]] = {}
    home = _variant(run, run.arm(run.tradeoff.control))
    for arm in sorted(named.values(), key=lambda arm: (_variant(run, arm) != home, _kind(arm) == "blend")):
        groups.setdefault(_key(run, arm), []).append(arm)
    looks = cycle(_FURTHER)
    first = iter(_FIRST)
    found: list[Family] = []
    for (kind, *_), arms in groups.items():
        of_kind = {"mse": _MSE, "filter": _FILTERS, "path": _PATH, "import": _IMPORTS}.get(str(kind))
        taken = of_kind in [family.look for family in found]
        look = of_kind if of_kind is not None and not taken else next(first, None) or next(looks)
        ordered = sorted(arms, key=lambda arm: (arm.lambda_ or 0.0, _dial(arm), arm.price or 0.0))
        if kind in ("blend", "path"):
            # Both start at the control (α = 0, price 0); a blend ends at the network it blends in (α = 1).
            own = _variant(run, ordered[0])
            ends = [a for a in named.values() if _kind(a) == "lambda" and _variant(run, a) == own]
            start = [a for a in ends if a.lambda_ == 0]
            if kind == "path" and (own_start := named.get(str(ArmName.parse(ordered[0].name).control))) is not None:
                start = [own_start]
            stop = [a for a in ends if kind == "blend" and a.lambda_ == ordered[0].lambda_]
            line = [*start, *ordered, *stop]
        else:
            line = ordered if kind == "lambda" or (kind == "import" and len(ordered) > 1) else []
        found.append(Family(_label(run, ordered[0]), look, _names(ordered), _names(line)))
    return found


def arm_of_seed(run: Run, name: str, seed: int) -> ArmFigures | None:
    """An arm of a seed, or of its only one where it is not trained; None where the study has none of this seed."""
    arms = {arm.seed: arm for arm in run.summary.arms if arm.name == name}
    if len(arms) == 1 and ArmName.parse(name).kind in ("filter", "import"):
        return next(iter(arms.values()))
    return arms.get(seed)


def short_label(name: str) -> str:
    """What tells an arm from the others of its family.

    >>> short_label("lambda=0.9 alpha=0.2"), short_label("lambda=0.9 n_layers=9"), short_label("mse n_layers=9")
    ('α=0.2', 'λ=0.9', 'n_layers=9')
    >>> short_label("path price=0.02")
    '2%'
    """
    arm = ArmName.parse(name)
    if arm.price is not None:
        return f"{setting_text(100 * arm.price)}%"
    if arm.alpha is not None:
        return f"α={setting_text(arm.alpha)}"
    if arm.task_weight is not None:
        return f"λ={setting_text(arm.task_weight)}"
    if arm.imported is not None:
        return arm.imported
    variant = ", ".join(f"{key}={value}" for key, value in arm.variant)
    return variant if arm.kind == "mse" and variant else arm.label


def quoted_arms(run: Run) -> list[str]:
    """Arms that the page's text speaks of: each has a label in the figure, and its images are shown."""
    within = [found.within_tolerance for found in run.tradeoff.observers.values()]
    names = [run.choices.chosen_arm, *from_elsewhere(run), *(found.arm for found in within if found is not None)]
    return list(dict.fromkeys([*names, run.tradeoff.control]))


def from_elsewhere(run: Run) -> list[str]:
    """Names of the arms that denoisers elsewhere made, their blends left out."""
    named = ((arm.name, ArmName.parse(arm.name)) for arm in run.summary.arms)
    return list(dict.fromkeys(text for text, name in named if name.kind == "import" and name.alpha is None))


def main_observer(run: Run) -> str:
    """The observer of the first picture: the Hotelling observer behind an eye, else the nearest one there is."""
    low_dose = run.arm(LOW_DOSE).observers
    wanted = ["ho_eye", "ho", *(o for o in run.observers if o in low_dose), *run.observers]
    return next(observer for observer in wanted if observer in run.observers)


def _dial(arm: ArmFigures) -> float:
    """α; 1 for a denoiser elsewhere by itself, which ends the line of its blends."""
    return 1.0 if _kind(arm) == "import" and arm.alpha is None else arm.alpha or 0.0


def _kind(arm: ArmFigures) -> str:
    return ArmName.parse(arm.name).kind


def _variant(run: Run, arm: ArmFigures) -> tuple[object, ...]:
    """In what the settings of an arm differ from the study's, its head included; a task path has its control's."""
    name = ArmName.parse(arm.name)
    head = arm.head if name.price is None else run.arm(str(name.control)).head
    return (head or "", *(pair for pair in name.variant if pair[0] != "head"))


def _key(run: Run, arm: ArmFigures) -> tuple[object, ...]:
    kind = _kind(arm)
    if kind in ("mse", "filter"):
        return (kind,)
    if kind == "import":
        return (kind, ArmName.parse(arm.name).imported)
    return (kind, arm.lambda_ if kind == "blend" else None, _variant(run, arm))


def _label(run: Run, arm: ArmFigures) -> str:
    kind = _kind(arm)
    if kind == "mse":
        alone = len({other.name for other in run.summary.arms if _kind(other) == "mse"}) == 1
        return run.label(arm.name) if alone else "networks as they came" if run.given is not None else "MSE"
    if kind == "filter":
        return "other denoisers"
    if kind == "import":
        return str(ArmName.parse(arm.name).imported)
    home = run.arm(run.tradeoff.control)
    if kind == "blend":
        text = f"blend of λ = {setting_text(arm.lambda_ or 0.0)} with the control"
        words = [f"{arm.head} head"] if arm.head and arm.head != home.head else []
    elif kind == "path":
        text, words = "task path, price in RMSE", []
    else:
        text, words = "trained with λ", [f"{arm.head} head"] if arm.head else []
    words += [f"{key}={value}" for key, value in ArmName.parse(arm.name).variant if key != "head"]
    return f"{text} ({', '.join(words)})" if words else text


def _names(arms: list[ArmFigures]) -> tuple[str, ...]:
    return tuple(arm.name for arm in arms)
