"""The methods of a study in words, ready to paste: written from its settings, with the references that it needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from taskct.names import JOINT, MSE, percent_text, setting_text
from taskct.report.caveats import backgrounds, unit_sentence
from taskct.report.labels import listed, observer_label
from taskct.report.run import Run

REFERENCES = {
    "joseph": "Joseph, IEEE Trans. Med. Imaging 1, 192 (1982).",
    "fbp": "Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), sections 3.4.1 and 3.4.2.",
    "parker": "Parker, Med. Phys. 9, 254 (1982).",
    "lower dose": 'Žabić et al., "A low dose simulation tool for CT systems with energy integrating detectors", Med. '
    "Phys. 40, 031102 (2013).",
    "task-informed": "Li, Li and Anastasio, Proc. SPIE Medical Imaging (2022); arXiv 2211.13303; J. Med. Imaging 11, "
    "055501 (2024).",
    "slnn": "Li, Zhou, Li and Anastasio, IEEE Trans. Med. Imaging 40, 2295 (2021).",
    "hotelling": "Barrett and Myers, Foundations of Image Science, Wiley (2004), ch. 13.",
    "ledoit-wolf": "Ledoit and Wolf, J. Multivariate Analysis 88, 365 (2004).",
    "eye": "Burgess, J. Opt. Soc. Am. A 11, 1237 (1994).",
    "channels": "Myers and Barrett, J. Opt. Soc. Am. A 4, 2447 (1987).",
    "npw": "Wagner and Brown, Phys. Med. Biol. 30, 489 (1985).",
    "cnn": "Zhou, Li and Anastasio, IEEE Trans. Med. Imaging 38, 2456 (2019).",
    "auc": "Bamber, J. Math. Psychol. 12, 387 (1975).",
    "delong": "DeLong et al., Biometrics 44, 837 (1988).",
    "clusters": "Obuchowski, Biometrics 53, 567 (1997).",
    "ssim": "Wang et al., IEEE Trans. Image Process. 13, 600 (2004).",
    "bootstrap": "Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.",
    "exact-cho": "Wunderlich et al., IEEE Trans. Med. Imaging 34, 453 (2015).",
    "leave-pair-out": "Airola et al., Comput. Stat. Data Anal. 55, 1828 (2011).",
    "one-shot": "Gallas, Acad. Radiol. 13, 353 (2006).",
    "obuchowski-rockette": "Obuchowski and Rockette, Commun. Stat. Simul. Comput. 24, 285 (1995).",
    "human-noise": "Eck et al., Proc. SPIE 9037, 90370P (2014).",
    "forced-choice": "Hacker and Ratcliff, Percept. Psychophys. 26, 168 (1979).",
    "holm": "Holm, Scand. J. Stat. 6, 65 (1979).",
    "hillis": "Hillis, Stat. Med. 26, 596 (2007).",
    "mrmc-power": "Hillis, Obuchowski and Berbaum, Acad. Radiol. 18, 129 (2011).",
    "froc": "Bunch et al., J. Appl. Photogr. Eng. 4, 166 (1978).",
    "jafroc": "Chakraborty and Berbaum, Med. Phys. 31, 2313 (2004).",
    "weighted-afroc": "Chakraborty and Zhai, Med. Phys. 43, 2548 (2016).",
    "lroc": "Swensson, Med. Phys. 23, 1709 (1996).",
    "program": 'Chakraborty, The RJafroc FROC book (2023), chapter "Standalone CAD vs. Radiologists".',
    "kappa": "Cohen, Psychol. Bull. 70, 213 (1968).",
    "kappa variance": "Fleiss, Cohen and Everitt, Psychol. Bull. 72, 323 (1969).",
    "icc": "McGraw and Wong, Psychol. Methods 1, 30 (1996).",
    "mover": "Zou, Psychol. Methods 12, 399 (2007).",
}
"""By the word that the text cites them by; docs/method.md numbers the same sources."""

OF_OBSERVERS = {
    JOINT: "slnn",
    "slnn": "slnn",
    "ho": "hotelling",
    "ho_eye": "eye",
    "ho_lw": "ledoit-wolf",
    "npw": "npw",
    "npwe": "eye",
    "cnn": "cnn",
    "human": "human-noise",
}
"""Source of an observer; a channelized one has "channels"."""


def source_of(observer: str) -> str | None:
    """The source of an observer, as `REFERENCES` has it; None for one that has none there.

    >>> source_of("ho"), source_of("cho-lg"), source_of("mine")
    ('hotelling', 'channels', None)
    """
    name = observer.replace("-", "_")
    return "channels" if name.startswith("cho_") else OF_OBSERVERS.get(name)


@dataclass(frozen=True)
class Methods:
    """A methods section."""

    paragraphs: list[str]
    """Text with references as numbers in square brackets."""
    references: list[str]
    """In the order of their numbers."""

    @property
    def text(self) -> str:
        """Paragraphs and numbered references, as plain text."""
        listed_ = [f"{n}. {source}" for n, source in enumerate(self.references, start=1)]
        return "\n\n".join([*self.paragraphs, "\n".join(listed_)])


class Citations:
    """Numbers the sources of `REFERENCES` in the order in which they are cited first."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, *names: str) -> str:
        """The numbers of some sources, in square brackets."""
        numbers = sorted(self._numbers.setdefault(name, len(self._numbers) + 1) for name in names)
        return f"[{', '.join(map(str, numbers))}]"

    @property
    def sources(self) -> list[str]:
        """Those that were cited, in the order of their numbers."""
        return [REFERENCES[name] for name in self._numbers]


def methods_section(run: Run) -> Methods:
    """Write the methods section of a run from its settings; what a settings file lacks is left out."""
    cite = Citations()
    paragraphs = [" ".join(part(run, cite)) for part in (_images, _training, _observers, _statistics)]
    return Methods(paragraphs, cite.sources)


def _section(run: Run, name: str) -> dict[str, Any]:
    found = run.settings.get(name)
    return found if isinstance(found, dict) else {}


def _images(run: Run, cite: Citations) -> Iterator[str]:
    scanner, kind = _section(run, "scanner"), _section(run, "background").get("kind")
    sources = ["fbp"] if scanner and kind != "paired" else []
    if scanner.get("scan") == "short":
        sources.append("parker")
    if scanner.get("acquisition") == "insertion":
        sources = ["lower dose"]
    yield f"Task and images: {run.task.description.rstrip('.')}{f' {cite(*sources)}' if sources else ''}."
    size = run.task.roi_px
    yield f"Regions of {size} × {size} pixels of {setting_text(run.task.pixel_mm)} mm were scored."
    n = run.task.n_trials
    splits = listed(f"{count:,} trials ({name})" for name, count in n.items())
    apart = ", of which no two share a background" if run.task.n_shared_backgrounds == 0 else ""
    every = "Networks learned from the first, every" if run.trained else "Every"
    yield (
        f"The trials were divided into {splits}{apart}. {every} choice was made on validation trials, observers "
        "were fitted afresh to a split of their own, and "
        f"every figure comes from the test trials, on {backgrounds(run)}."
    )


def _training(run: Run, cite: Citations) -> Iterator[str]:
    training, denoiser, imported = (_section(run, name) for name in ("training", "denoiser", "imported"))
    if training.get("method") == "none":
        yield "Nothing was trained."
        if denoiser.get("weights") is not None:
            yield _came(run, denoiser)
    elif training.get("method") == "task-path" and imported.get("path_of") is not None:
        yield f"The task path starts from the images of {imported['path_of']}, which are its control."
    else:
        yield from _networks(run, cite)
    if training.get("method", "joint") in ("task-path", "both"):
        yield from _task_path(_section(run, "path"))
    if imported.get("names"):
        names = listed(map(str, imported["names"]))
        yield (
            f"Images of {names} were made elsewhere: from the low-dose images of these trials, exported without their "
            "truth, and imported again after checks of their number, order, place, scale and range."
        )
    if denoiser.get("classical"):
        yield f"Classical filters ({listed(map(str, denoiser['classical']))}) were tuned on the validation trials."
    if run.trained:
        n_seeds = len(run.seeds)
        yield f"Everything was trained from {n_seeds} seed{'s' if n_seeds > 1 else ''}."
    yield f"The arm quoted, {run.label(run.choices.chosen_arm)}, is {_plain_rule(run)}."


def _networks(run: Run, cite: Citations) -> Iterator[str]:
    """Pretraining, and the λ arms with their blends."""
    training, denoiser = _section(run, "training"), _section(run, "denoiser")
    if denoiser.get("weights") is not None:
        yield _came(run, denoiser)
    elif denoiser.get("network") is not None:
        yield f"The denoiser ({denoiser['network']}) was pretrained to least mean squared error (MSE)" + (
            f" for {training['pretrain_epochs']} epochs." if "pretrain_epochs" in training else "."
        )
    lambdas = training.get("lambdas")
    if training.get("method") == "task-path":
        lambdas = None
        yield "λ = 0, trained as long without a task, is the control."
    if isinstance(lambdas, list):
        weights = listed(setting_text(float(weight)) for weight in lambdas)
        head = {"pixel": "every pixel", "eye": "the image behind an eye filter", "channels": "the outputs of channels"}
        sees = head.get(str(training.get("head")), "every pixel and the image behind an eye filter")
        what = (
            "λ·BCE/ln 2, with BCE the cross-entropy of a single-layer neural-network numerical observer (SLNN-NO) that "
            f"sees {sees}"
            if training.get("loss", "slnn") == "slnn"
            else f"λ times the task loss '{training.get('loss')}'"
        )
        yield (
            "Denoiser and task were then trained together by L(λ) = (1 − λ)·MSE/MSE of the pretrained denoiser + "
            f"{what} {cite('task-informed', 'slnn')}, with λ of {weights}"
            + (f", for {training['finetune_epochs']} epochs each." if "finetune_epochs" in training else ".")
        )
        yield "λ = 0, trained as long without the task, is the control."
    alphas = training.get("blend_alphas")
    if lambdas is not None and training.get("blend_lambda") is not None and isinstance(alphas, list) and alphas:
        mixed = listed(setting_text(float(alpha)) for alpha in alphas)
        yield (
            f"Blends (1 − α)·control + α·task-informed of λ = {setting_text(float(training['blend_lambda']))} have α "
            f"of {mixed}."
        )


def _came(run: Run, denoiser: dict[str, Any]) -> str:
    """Of a network that came with its weights: from which file, and how it sees HU."""
    file = PurePath(str(denoiser["weights"])).name
    return (
        f"The denoiser ({denoiser.get('network')}) came with its weights ({file}): the "
        f"arm {run.label(MSE)} is that network, whatever it was trained by. It sees (HU − o)/s with o = "
        f"{_given(denoiser, 'offset')} and s = {_given(denoiser, 'scale')}."
    )


def _given(denoiser: dict[str, Any], name: str) -> str:
    """A number of the scaling that the settings state; a model of taskct may hold it itself."""
    value = denoiser.get(f"{name}_hu")
    return "that of its file" if value is None else f"{setting_text(float(value))} HU"


def _task_path(path: dict[str, Any]) -> Iterator[str]:
    """The task path in words; what its settings lack is left out."""
    noise = f" with white noise of {setting_text(float(path['noise_hu']))} HU" if path.get("noise_hu") else ""
    reader = ", and by that of a Hotelling observer behind an eye fitted to references" if path.get("reader") else ""
    at = f" until it costs {percent_text(float(path['trained_at']))} of RMSE" if "trained_at" in path else ""
    epochs = f" for {path['epochs']} epochs" if "epochs" in path else ""
    yield (
        "The task path is the frozen control plus a times a correction Δ, a network that sees the low-dose image and "
        f"the control's. Δ was trained{epochs} by the cross-entropy of a linear head on control plus Δ{noise}{reader}, "
        f"with a weight on the energy of Δ that was adapted{at}."
    )
    if copies := path.get("copies"):
        yield (
            f"It learned from {copies} copies of the training trials, each with and without a signal and with another "
            "trial's noise."
        )
    prices = path.get("prices")
    if isinstance(prices, list):
        shown = listed(percent_text(float(price)) for price in prices)
        yield f"Its strength a was set for prices of {shown} in RMSE over the control's, on validation trials."


def _plain_rule(run: Run) -> str:
    rule = run.choices.rule.rstrip(".")
    for name in run.observers:
        rule = rule.replace(f"AUC of {name} ", f"AUC of the {observer_label(name)} ")
    return rule


def _observers(run: Run, cite: Citations) -> Iterator[str]:
    named = []
    for name in run.observers:
        source = source_of(name)
        named.append(f"{observer_label(name)}{f' {cite(source)}' if source else ''}")
    yield f"The images were read by {len(named)} numerical observers: {listed(named)}."
    joint = "A joint observer was trained with the denoiser; a" if JOINT in run.observers else "A"
    yield (
        f"{joint} fresh one was fitted to "
        f"{run.task.n_trials.get('fresh', 0):,} trials denoised by the arm, with its regularization chosen on "
        "validation trials."
    )
    if run.has_limits:
        yield f"The AUC in the limit of many training trials: {run.limits.how.rstrip('.')}."


def _statistics(run: Run, cite: Citations) -> Iterator[str]:
    clustered = run.task.resampling.unit == "background"
    area, covariance = cite("auc"), cite("delong", "clusters") if clustered else cite("delong")
    yield (
        f"The area under the ROC curve (AUC) is the Mann–Whitney statistic {area}; its intervals and those of paired "
        f"differences use {'Obuchowski’s' if clustered else 'DeLong’s'} covariance {covariance}."
    )
    n_bootstrap = _section(run, "evaluation").get("n_bootstrap")
    resamples = f" of {n_bootstrap:,} resamples" if isinstance(n_bootstrap, int) else ""
    low = _section(run, "evaluation").get("data_low_hu")
    begins = f" from {setting_text(float(low)).replace('-', '−')} HU" if isinstance(low, int | float) else ""
    yield (
        f"RMSE is in HU; PSNR and SSIM (Gaussian window of 11 × 11 pixels) {cite('ssim')} refer to a data range of "
        f"{setting_text(run.task.data_range_hu)} HU{begins}; their intervals are those of a bootstrap{resamples} "
        f"{cite('bootstrap')}."
    )
    yield unit_sentence(run)
    if run.task.resampling.p_values:
        yield f"P values are two-sided and adjusted by Holm's method over the comparisons of a table {cite('holm')}."
    if run.retraining.rows:
        how = "obuchowski-rockette" if clustered else "one-shot"
        yield (
            "Training seeds and test trials together are random effects of a multi-reader multi-case analysis in which "
            f"the seeds are the readers {cite(how)}."
        )
    made = run.provenance
    commit = f", commit {made.commit}" if made.commit else ""
    yield f"Computed by taskct {made.taskct_version}{commit}."
