"""What a task path does to images, in words: whether it restores or marks, and how far it comes."""

from taskct.metrics.intervals import Interval
from taskct.names import percent_text
from taskct.report.contrast import polarity
from taskct.report.labels import interval, listed, number, observer_label, percent
from taskct.report.run import Run
from taskct.report.schema import PathRow, sign


def quoted_point(run: Run) -> PathRow | None:
    """Return the working point that text quotes: the chosen arm's, else that nearest to 2 %; None without a path."""
    rows = run.path_points()
    chosen = next((row for row in rows if row.arm == run.choices.chosen_arm), None)
    return chosen or min(rows, key=lambda row: abs(row.price - 0.02), default=None)


def path_answers(run: Run) -> list[tuple[str, str]]:
    """Answer what the task path does and how far it comes, each with the words that head it; empty without a path."""
    row = quoted_point(run)
    if row is None:
        return []
    found = (
        ("Does the dial restore or mark", restores_or_marks(run, row)),
        ("How far the dial comes", way_in_words(run, row)),
        ("Against the other ways to the task", against_others(run)),
    )
    return [(lead, text) for lead, text in found if text]


def restores_or_marks(run: Run, row: PathRow) -> str:
    """Say in plain words what the correction does to images; empty where it was not measured.

    It restores where its energy lies near the lesions, more than an even spread would, and raises their contrast where
    there are some and not where there are none. Contrast at a site without a lesion is a lesion invented. Energy that
    is no denser near the sites is a mark, which an observer of the whole region may read and no reader sees.
    """
    near, area, present, absent = row.energy_near, row.area_near, row.mean_present_hu, row.mean_absent_hu
    if near is None or area is None or present is None or absent is None:
        return ""
    text = (
        f"At a price of {percent_text(row.price)}, {interval(percent(near), 0)} % of the energy that the dial adds "
        f"lies within two diameters of the lesion's site, which is {number(100 * area, 0)} % of the region. It adds "
        f"{interval(present, 2, signed=True)} HU over a lesion and {interval(absent, 2, signed=True)} HU at a site "
        "without one"
    )
    towards = polarity(run)
    raised, invented = _sign(present, towards), _sign(absent, towards)
    if near.ci_high < area:
        return f"{text}: most of it is written elsewhere, so it marks rather than restores."
    if raised > 0 and invented > 0:
        both = "it raises the contrast of lesions, and invents some where there is none"
        return f"{text}: {both}."
    if invented > 0:
        return f"{text}: it invents contrast where there is none."
    if raised > 0 and near.ci_low > area:
        return f"{text}: it restores contrast where the lesion is."
    return f"{text}: these trials do not tell whether it restores or marks."


def _sign(found: Interval, towards: int) -> int:
    """1 where an interval lies wholly on the side of the lesions' contrast, −1 where on the other, else 0."""
    return sign(found) * towards


def way_in_words(run: Run, row: PathRow) -> str:
    """Say which share of the way from the control to the bound the dial goes; empty where there is no bound."""
    bound = run.task_path.bound
    parts = [f"{interval(percent(way), 0)} % for {observer_label(o)}" for o, way in row.way_to_bound.items() if way]
    if bound is None or not parts:
        return ""
    text = (
        f"At a price of {percent_text(row.price)} it goes this share of the way from the control to the bound, "
        f"{interval(bound.auc, 3)} of {observer_label(bound.observer)} on the low-dose images: {listed(parts)}."
    )
    if bound.passed:
        fitted = "" if bound.n_trials is None else f", fitted to {bound.n_trials} trials,"
        text += f" That observer{fitted} is no bound here: of some arm's images another reads more."
    principle = run.task_path.principle
    if principle:
        nearest = min(principle, key=lambda one: abs(one.price - row.price))
        text += (
            f" In principle the observer behind an eye could have an AUC of at least {number(nearest.auc, 3)} at a "
            f"price of {percent_text(nearest.price)}: the most that any observer here reads stands for the ideal one."
        )
    return text


def against_others(run: Run) -> str:
    """Say whether the task path gives more AUC at equal RMSE than blends and trained λ; empty without a comparison."""
    words = {
        "path": "the task path gives more AUC at equal RMSE than {}",
        "neither": "the task path and {} are not told apart",
    }
    names = {"blend": "the blend", "trained": "training with λ"}
    parts: dict[str, list[str]] = {}
    for observer in run.observers:
        tradeoff = run.tradeoff.observers.get(observer)
        for curve in () if tradeoff is None else tradeoff.path_curves:
            said = words.get(curve.better, "{} gives more AUC at equal RMSE than the task path").format(
                names[curve.versus]
            )
            delta = interval(curve.delta_auc, 3, signed=True)
            parts.setdefault(said, []).append(f"{observer_label(observer)} ({delta})")
    if not parts:
        return ""
    sentence = "; ".join(f"{said} for {listed(who)}" for said, who in parts.items())
    return f"{sentence[0].upper()}{sentence[1:]}. In brackets: ΔAUC, task path minus the other, over the shared RMSE."


def dial_said(run: Run) -> str:
    """Say where the dial stands and what else it has; empty without a task path."""
    rows, point = run.path_points(), quoted_point(run)
    if point is None:
        return ""
    prices = listed([percent_text(row.price) for row in rows])
    return (
        f"One training, {len(rows)} working points: {prices} in RMSE. The text quotes {run.label(point.arm)}; at "
        "price 0 the image is the control's."
    )
