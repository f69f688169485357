"""The page of an observer that was fitted to people: how well it describes them, and where the two disagree."""

import math

from matplotlib.figure import Figure

from taskct.apply.human.fit import EFFICIENCY, NO_NOISE, ComparedWithPeople, HumanFit
from taskct.literal import figure_text
from taskct.metrics.internal_noise import NOISE_KINDS
from taskct.report.figures import encode, new_figure, style
from taskct.report.labels import interval, number
from taskct.report.methods import Citations
from taskct.report.sections import Captioned, PageSection, SectionsPage
from taskct.report.tables import NONE, Table

LEVEL = 0.05
"""Holm-adjusted p below which the page says that people and observer disagree."""

_MOST_LABELS = 12
"""Conditions that the drawing names; more are points alone."""


def human_page(found: HumanFit) -> SectionsPage:
    """Return the page of a fit; readers have numbers, since their names tell who they are."""
    by_property = found.by_property()
    tables = [_table("Condition", _what(found), found.by_condition())]
    tables += [_table(title, f"{_what(found)}, averaged over conditions", rows) for title, rows in by_property.items()]
    text, sources = _methods(found)
    sections = [
        PageSection("Where people and observer disagree", pictures=[_drawing(found)], tables=tables),
        PageSection("Kinds of noise", tables=[_models(found)], texts=[_fit_text(found)]),
        PageSection("Each reader", tables=[_readers(found)]),
        PageSection("Methods", texts=[text], items=sources),
    ]
    if found.notes:
        sections.append(PageSection("What to know of these results", notes=found.notes))
    return SectionsPage("human", "An observer fitted to people", _leads(found), sections)


def _what(found: HumanFit) -> str:
    return "AUC" if found.people.from_areas else "Proportion correct"


def _leads(found: HumanFit) -> list[str]:
    alpha, rows = found.chosen.alpha, found.by_condition()
    off = [one for one in rows if one.p_holm < LEVEL]
    where = (
        f"people and observer disagree in {len(off)} of {len(rows)} conditions: {', '.join(one.name for one in off)}"
        if off
        else f"in none of {len(rows)} conditions are people and observer shown to disagree"
        if len(rows) > 1
        else "one condition cannot tell whether people and observer disagree"
    )
    rmse = found.chosen.left_out.rmse
    predicted = (
        ""
        if math.isnan(rmse)
        else f" Conditions that are left out are predicted within {number(rmse, 3)} (root mean square)."
    )
    strength = (
        f"People do better than {found.model.observer} without noise, so that its strength is {interval(alpha, 2)}"
        if found.chosen.free < 0.0
        else f"With internal noise of strength {interval(alpha, 2)}, {found.model.observer} does as well as people"
    )
    return [
        f"{strength}; {where}.",
        f"{found.people.counts.n_readers} reader(s), {found.people.counts.n_trials.sum():,.0f} answers.{predicted}",
    ]


def _table(heading: str, what: str, rows: list[ComparedWithPeople]) -> Table:
    cells = [
        [
            one.name,
            interval(one.people, 3),
            number(one.model, 3),
            interval(one.disagreement.difference, 3, signed=True),
            _p(one.disagreement.p_value),
            _p(one.p_holm),
        ]
        for one in rows
    ]
    columns = [heading, "People", "Observer", "People less observer", "p", "p (Holm)"]
    return Table(f"{what} [interval over readers and the observer's trials].", columns, cells)


def _models(found: HumanFit) -> Table:
    rows = []
    for name, fit in found.fits.items():
        goodness = fit.goodness
        alpha = NONE if name in (NO_NOISE, EFFICIENCY) else interval(fit.alpha, 2)
        rows.append(
            [
                _kind_words(name),
                alpha,
                _number(fit.left_out.rmse, 4),
                number(fit.aic - min(one.aic for one in found.fits.values()), 1),
                f"{_number(goodness.chi_square, 1)} ({goodness.df})",
                _p(goodness.p_binomial),
                _p(goodness.p_readers),
            ]
        )
    columns = ["Noise", "Strength", "Left-out RMSE", "AIC less the least", "χ² (df)", "p, trials", "p, readers"]
    caption = (
        "One strength for all conditions. Left-out RMSE: each condition predicted from the others. p of lack of fit: "
        "were readers alike (trials), and with their differences as the yardstick (readers)."
    )
    return Table(caption, columns, rows)


def _kind_words(name: str) -> str:
    words = {NO_NOISE: "none", EFFICIENCY: "one efficiency, which may be above 1"} | {
        kind: f"{kind}: {text}" for kind, text in NOISE_KINDS.items()
    }
    return words[name]


def _fit_text(found: HumanFit) -> str:
    efficiency = found.fits[EFFICIENCY].efficiency
    best = (
        ""
        if found.best is None
        else f"Of all these, {_kind_words(found.best).split(':')[0]} predicts conditions that were left out best. "
    )
    spread = found.chosen.goodness.overdispersion
    times = f" Readers differ {number(spread, 1)} times as much as chance alone would make them."
    return (
        f"{best}The efficiency of people against the observer without noise, the square of the ratio of their d′, is "
        f"{interval(efficiency, 2)}.{'' if math.isnan(spread) else times}"
    )


def _readers(found: HumanFit) -> Table:
    counts = found.people.counts
    rows = [
        [
            f"reader {number_ + 1}",
            f"{counts.n_trials[number_].sum():,.0f}",
            number(float(counts.n_correct[number_].sum() / counts.n_trials[number_].sum()), 3),
            _number(float(alpha), 2),
        ]
        for number_, alpha in enumerate(found.chosen.alphas_of_readers())
    ]
    return Table("Strength of the noise of each reader alone.", ["Reader", "Answers", _what(found), "Strength"], rows)


def _drawing(found: HumanFit) -> Captioned:
    n = len(found.people.conditions)
    return Captioned(
        encode(_figure(found), "svg"),
        f"{_what(found)} of people against that of the observer in {n} conditions. The numbers are in the table.",
        "Filled: with the fitted noise, interval over readers. Open: the observer without noise. On the line the two "
        "agree. Numbers are those of the table's lines.",
    )


def _figure(found: HumanFit) -> Figure:
    rows, bare = found.by_condition(), found.fits[NO_NOISE].proportion
    chance = 1.0 / found.people.counts.n_alternatives
    arms = list(dict.fromkeys(condition.arm for condition in found.people.conditions))
    with style():
        figure = new_figure(5.6, 5.2)
        ax = figure.subplots()
        ax.plot([chance, 1.0], [chance, 1.0], color="0.7", linewidth=0.8)
        labelled = set[str]()
        for number_, (one, condition) in enumerate(zip(rows, found.people.conditions, strict=True)):
            colour = f"C{arms.index(condition.arm) % 10}"
            label = figure_text(condition.arm) if condition.arm and condition.arm not in labelled else None
            labelled.add(condition.arm)
            error = [[one.people.value - one.people.ci_low], [one.people.ci_high - one.people.value]]
            ax.plot(bare[number_], one.people.value, "o", color=colour, markerfacecolor="none", markersize=5)
            ax.errorbar(one.model, one.people.value, error, fmt="o", color=colour, capsize=2, markersize=5, label=label)
            if len(rows) <= _MOST_LABELS:
                ax.annotate(
                    str(number_ + 1),
                    (one.model, one.people.value),
                    textcoords="offset points",
                    xytext=(5, -9),
                    fontsize=7,
                )
        what = _what(found).lower() if not found.people.from_areas else "AUC"
        ax.set(xlabel=f"{what}, observer", ylabel=f"{what}, people", aspect="equal")
        low = min(chance, *(one.people.ci_low for one in rows), *(one.model for one in rows)) - 0.02
        ax.set(xlim=(low, 1.02), ylim=(low, 1.02))
        if labelled - {""}:
            ax.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def _methods(found: HumanFit) -> tuple[str, list[str]]:
    cite, fit = Citations(), found.chosen
    choice = (
        "The AUC of each reader was taken for the proportion correct of a choice between two images"
        if found.people.from_areas
        else f"Readers chose among {found.people.counts.n_alternatives} images"
    )
    source = "channels" if found.model.observer.startswith("cho") else "npw"
    text = (
        f"{choice}. {found.model.observer} {cite(source)} was fitted to images of each condition and read others. "
        f"Internal noise {NOISE_KINDS[found.plan.kind]}, of one strength in all conditions, was sought by maximum "
        f"likelihood of the readers' counts, as was done with readers of CT {cite('human-noise')}. The interval holds "
        "the choice of readers (their terms of the score equation, Student's t) and of the observer's trials "
        f"(bootstrap); it covers {100 * fit.confidence:g} %. "
    )
    law = (
        f"The proportion correct is that of M-alternative forced choice {cite('forced-choice')} at the observer's d′."
        if found.plan.law == "normal"
        else "The proportion correct is that of the observer's test statistics as they are, with the noise added."
    )
    return f"{text}{law} Differences are adjusted by Holm's method {cite('holm')} within each table.", cite.sources


def _number(value: float, digits: int) -> str:
    return number(value, digits) if math.isfinite(value) else NONE


def _p(p_value: float) -> str:
    if math.isnan(p_value):
        return NONE
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
