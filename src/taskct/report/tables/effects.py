"""Tables of what a denoiser does to images: harm, physics, and image quality as benchmarks count it."""

import numpy as np

from taskct.names import setting_text
from taskct.report.caveats import at_n
from taskct.report.labels import interval, number, observer_label, percent
from taskct.report.run import Run
from taskct.report.schema import Span
from taskct.report.tables.cells import NONE, Table, as_sentence, by_observer, for_observers, if_several, or_none


def hallucination_table(run: Run) -> Table:
    """Tabulate the bias at the signal site and how often an arm paints a signal anywhere."""
    rows = []
    for arm in run.summary.arms:
        bias = run.site_bias[arm.name, arm.seed]
        spread = [
            " to ".join(number(v, 1, signed=True) for v in np.percentile(values, [5, 95])) if values.size else NONE
            for values in (bias.absent, bias.present)
        ]
        mean, painted = arm.hallucination, run.false_signal(arm)
        delta = painted.delta_to_control
        absent, present = (interval(m, 2, signed=True) for m in (mean.absent_bias_hu, mean.present_bias_hu))
        rate = interval(percent(painted.false_signal_rate), 1)
        more = or_none(None if delta is None else percent(delta), 1, signed=True)
        rows.append(
            [run.label(arm.name), *if_several(run, arm.seed), absent, spread[0], present, spread[1], rate, more]
        )
    columns = ["Arm", *if_several(run, "Seed"), "Mean, signal absent (HU)", "5th to 95th percentile of trials (HU)"]
    columns += ["Mean, signal present (HU)", "5th to 95th percentile of trials (HU)"]
    columns += ["False-signal rate (% of signal-absent trials)", "Rate minus control's (percentage points)"]
    caption = "Image minus reference at the signal site, and false signals anywhere in the region [95 % interval]."
    return Table(caption, columns, rows)


def harm_table(run: Run) -> Table | None:
    """Tabulate what every arm does to contrast, noise and resolution; None where the run has not measured it."""
    if not run.harm.rows:
        return None
    rows = []
    for row in run.harm.rows:
        kept = None if row.contrast_recovery is None else percent(row.contrast_recovery)
        shown = [or_none(kept, 0), or_none(row.noise_hu, 2), or_none(row.nps_mean_per_mm, 3)]
        shown += [or_none(row.ttf50_per_mm, 3), *map(_hu, (row.site_map_max_abs_hu, row.map_max_abs_hu))]
        rows.append([run.label(row.arm), *if_several(run, row.seed), *shown])
    columns = [
        "Arm",
        *if_several(run, "Seed"),
        "Contrast left (%)",
        "Noise (HU)",
        "Mean frequency of the noise (1/mm)",
    ]
    columns += ["Half of the signal left at (1/mm)", "Largest mean error at the site (HU)", "Anywhere (HU)"]
    caption = "What an arm does to contrast, noise and resolution [95 % interval]; errors are means of image minus "
    caption += f"reference over signal-absent trials. {as_sentence(run.harm.how)}"
    why = dict.fromkeys(f"{run.label(row.arm)}: {text}" for row in run.harm.rows for text in row.why_not.values())
    if why:
        caption += f" Missing: {'; '.join(why)}."
    return Table(caption.strip(), columns, rows)


def physics_table(run: Run) -> Table | None:
    """Tabulate noise, HU and evenness of every arm's images; None where the run has not measured them."""
    if not run.physics.rows:
        return None
    rows = [
        [
            run.label(row.arm),
            *if_several(run, row.seed),
            or_none(row.noise_ratio, 2),
            or_none(row.nps_mean_ratio, 2),
            or_none(row.noise_border_over_middle, 2),
            or_none(row.hu_bias, 2, signed=True),
            or_none(row.hu_slope, 3),
            or_none(row.uneven_hu, 2, signed=True) + (f" ({row.uneven_side})" if row.uneven_hu else ""),
        ]
        for row in run.physics.rows
    ]
    columns = ["Arm", *if_several(run, "Seed"), "Noise over low-dose", "Its mean frequency over low-dose"]
    columns += ["Noise, border over middle", "HU bias", "HU slope", "Unevenness (HU)"]
    caption = f"The physics of the images [95 % interval]. {as_sentence(run.physics.how)}"
    return Table(caption.strip(), columns, rows)


def resolution_table(run: Run) -> Table | None:
    """Tabulate CNR, resolution by contrast and d′ of spectra; None where the run has not measured them."""
    if not run.physics.rows:
        return None
    rows = []
    for row in run.physics.rows:
        shown = [or_none(row.cnr, 2), or_none(row.ttf10_per_mm, 3), or_none(row.ttf50_weak_per_mm, 3)]
        shown += [or_none(row.ttf50_strong_per_mm, 3), or_none(row.d_npw, 2), or_none(row.d_npwe, 2)]
        rows.append([run.label(row.arm), *if_several(run, row.seed), *shown])
    columns = ["Arm", *if_several(run, "Seed"), "CNR", "A tenth of the signal left at (1/mm)"]
    columns += ["Half left, weak contrasts (1/mm)", "Half left, strong contrasts (1/mm)", "d′ NPW", "d′ NPWE"]
    caption = "Contrast and resolution [95 % interval]; how they are measured stands above."
    why = dict.fromkeys(f"{run.label(row.arm)}: {text}" for row in run.physics.rows for text in row.why_not.values())
    if why:
        caption += f" Missing: {'; '.join(why)}."
    return Table(caption, columns, rows)


def _hu(value: float | None) -> str:
    return NONE if value is None else number(value, 2)


def false_positive_table(run: Run) -> Table | None:
    """Tabulate what observers say at a criterion set beforehand, quoted seed; None where that was not measured."""
    rows = [
        [
            run.label(row.arm),
            observer_label(one.observer).removeprefix("fresh "),
            "the arm's images" if one.fitted_on == "own" else run.label(one.fitted_on),
            interval(percent(one.false_positive_fraction), 1),
            interval(percent(one.true_positive_fraction), 1),
        ]
        for row in run.harm.rows
        if row.seed == run.arm(row.arm).seed
        for one in row.false_positives
    ]
    if not rows:
        return None
    columns = ["Arm", "Observer", "Fitted on", "False positives (%)", "True positives (%)"]
    caption = (
        "What observers say at a criterion that was set on validation trials of the images they were fitted on [95 % "
        "interval]."
    )
    return Table(caption, columns, rows)


def strata_table(run: Run) -> Table | None:
    """Tabulate AUC by size and contrast of the lesion, quoted seed; None for a task of one size and one contrast."""
    mine = [row for row in run.strata.rows if row.seed == run.arm(row.arm).seed]
    if not mine:
        return None
    cells = [
        (
            (run.label(row.arm), _span(row.size, "mm"), _span(row.contrast, "HU"), str(row.n_present)),
            row.observer,
            interval(row.auc, 3)
            + ("" if row.delta is None else f" Δ\N{NO-BREAK SPACE}{interval(row.delta, 3, signed=True)}"),
        )
        for row in mine
    ]
    columns = ["Arm", "Size", "Contrast", "Signals", *for_observers(run)]
    caption = (
        f"AUC by size and contrast of the lesion (seed {run.seed}), against all signal-absent trials [95 % interval]; "
        f"Δ is the difference to the control. Fresh observers {at_n(run)}."
    )
    return Table(caption, columns, by_observer(run, cells))


def convention_table(run: Run) -> Table | None:
    """Tabulate image quality as public benchmarks count it, quoted seed; None where the run has not measured it."""
    mine = [row for row in run.conventions.rows if row.seed == run.arm(row.arm).seed]
    if not mine:
        return None
    order = {one.name: number for number, one in enumerate(run.conventions.conventions)}
    rows = [
        [
            row.convention,
            run.label(row.arm),
            *(or_none(found, digits) for found, digits in ((row.rmse_hu, 2), (row.psnr_db, 2), (row.ssim, 4))),
        ]
        for row in sorted(mine, key=lambda row: order.get(row.convention, len(order)))
    ]
    caption = (
        f"Image quality in the conventions of public benchmarks: means over {mine[0].n_trials} test images [95 % "
        "interval], to be set beside theirs. "
    ) + " ".join(f"{one.name}: {one.text} ({one.source})." for one in run.conventions.conventions)
    return Table(caption.strip(), ["Convention", "Arm", "RMSE (HU)", "PSNR (dB)", "SSIM"], rows)


def _span(span: Span, unit: str) -> str:
    return f"{setting_text(span.low)} to {setting_text(span.high)}\N{NO-BREAK SPACE}{unit}"
