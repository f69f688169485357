"""What the page says of the unit that every interval resamples; the study decided it, in `task.json`."""

from taskct.report.run import Run


def backgrounds(run: Run) -> str:
    """Name what the test trials show, as in "30 distinct slices"."""
    n, name = run.task.n_backgrounds["test"], run.task.case_kind
    return f"{n} distinct {name.removesuffix('s') if n == 1 else name}"


def unit_note(run: Run) -> str:
    """Say what the intervals come from: the one place of the page that says it in full."""
    n_test, several = run.summary.n_test, len(run.seeds) > 1
    trials = f"{n_test.present} signal-present and {n_test.absent} signal-absent test trials on {backgrounds(run)}"
    but = ", but for the table over training seeds," if several else ""
    of_one = ", of one trained model" if run.trained else ""
    text = f"Every interval (95 %){but} comes from the {trials}{of_one}. {unit_sentence(run)} "
    if run.has_limits:
        text += "How AUCs in the limit of many training trials come to theirs stands above their table. "
    if not run.trained:
        return text.rstrip()
    training = "an interval does not cover what another training would change"
    if several:
        return f"{text}Such {training}; the table over training seeds does."
    return f"{text}Such {training}."


def unit_sentence(run: Run) -> str:
    """Say what an interval takes as its unit and what it holds for; the page and the methods take it from here."""
    r, kind = run.task.resampling, run.task.case_kind
    if not r.over_backgrounds:
        return f"An interval takes trials as independent and holds for {_these(run)} only."
    if r.unit != "background":
        return "Each trial has a background of its own and is the unit of every interval."
    text = f"Trials that share a background are not independent: the unit of every interval is {_whole(run)}."
    if kind == "slices":
        text += " Slices of one patient stand for other slices of that patient, not for other patients."
    return text


def few_warning(run: Run) -> str | None:
    """Warn where the backgrounds are few, or None."""
    r = run.task.resampling
    if not r.over_backgrounds:
        return (
            f"The test trials show only {backgrounds(run)}, too few to resample: over other {run.task.case_kind} the "
            "numbers vary more than the intervals say."
        )
    if r.few:
        unit = _whole(run) if r.unit == "background" else "the trial, each on its own background"
        return (
            f"The test trials show only {backgrounds(run)}. Every interval takes that into account (its unit is "
            f"{unit}), but with so few it is still somewhat too narrow."
        )
    return None


def only_these(run: Run) -> str:
    """Limit a verdict to the backgrounds at hand, or say that they are too few for a p-value; empty otherwise."""
    r = run.task.resampling
    if not r.over_backgrounds:
        return f" (this holds for {_these(run)} only)"
    return "" if r.p_values else f" ({backgrounds(run)} are too few to be sure of it)"


def at_n(run: Run) -> str:
    """Say on how many trials an observer was fitted whose limit cannot be had."""
    return f"at {run.task.n_trials.get('fresh', 0):,} training trials"


def no_p(run: Run) -> str:
    """Say why no p-value is shown; empty where they are."""
    r = run.task.resampling
    if r.p_values:
        return ""
    if not r.over_backgrounds:
        return f"No p is shown: it would speak of {_these(run)} only."
    if r.unit == "trial":
        return f"No p is shown: {_trials(run)} are too few for a test."
    return f"No p is shown: {backgrounds(run)} are too few to know how much they differ, which a p-value rests on."


def no_verdict(run: Run) -> str:
    """Say that the test trials are too few for any verdict, whatever they show; empty where they are enough."""
    r = run.task.resampling
    if r.p_values or r.unit != "trial" or not r.over_backgrounds:
        return ""
    return f"No verdict: {_trials(run)} are too few to tell a gain from chance"


def _trials(run: Run) -> str:
    n_test = run.summary.n_test
    return f"{n_test.present} + {n_test.absent} test trials"


def _whole(run: Run) -> str:
    return f"the whole {run.task.case_kind.removesuffix('s')}"


def _these(run: Run) -> str:
    n, name = run.task.n_backgrounds["test"], run.task.case_kind
    return f"this {name.removesuffix('s')}" if n == 1 else f"these {n} {name}"
