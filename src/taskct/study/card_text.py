"""A model's card in words, line by line."""

import math
from collections.abc import Mapping
from typing import Any

from taskct.denoisers.elsewhere import ELSEWHERE
from taskct.names import NARROW, percent_text, setting_text
from taskct.observer_registry import page_labels
from taskct.study.cards import LearnedOn, Spread, learned_of
from taskct.study.model_results import Estimate, ModelResults

UNKNOWN = "unknown"


def card_rows(card: Mapping[str, Any], results: ModelResults | None) -> list[tuple[str, str]]:
    """What a card and the results beside it say: a name and a text each.

    Parameters
    ----------
    card
        As `read_denoiser_card` gives it.
    results
        As `read_model_results` gives it; None where the model was not evaluated.
    """
    # What was said last: the results are written anew where the settings change, the card is not.
    licence, use = (
        (card.get("licence"), card.get("intended_use")) if results is None else (results.licence, results.intended_use)
    )
    rows = [
        ("model", _name(card)),
        ("network", _network(card)),
        ("intended use", use or "not stated"),
        ("licence", licence or "not stated"),
        *_learned_rows(learned_of(card)),
        ("training", _training(card)),
    ]
    return rows + _result_rows(results)


def _name(card: Mapping[str, Any]) -> str:
    name = card.get("arm") or card.get("task") or card.get("stage") or UNKNOWN
    seed = "" if card.get("seed") is None else f", seed {card['seed']}"
    dial = ""
    if card.get("stage") == "blend":
        dial = f", blended with its control, dial at {setting_text(float(card['alpha']))}"
    if card.get("stage") == "path":
        dial = f", dial at {percent_text(float(card['price'])).replace(NARROW, ' ')} of RMSE"
    return f"{name}{dial}{seed}"


def _network(card: Mapping[str, Any]) -> str:
    network, correction = f"{card['network']}({_arguments(card['arguments'])})", card.get("correction")
    if card["network"] == ELSEWHERE and isinstance(correction, Mapping):
        network = f"Correction({_arguments(correction)}), added to the images of a denoiser elsewhere"
    return f"{network}, {card['dtype']}"


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())


def _learned_rows(told: LearnedOn) -> list[tuple[str, str]]:
    k = told.kernel
    kernel = None if k is None else f"{k.name}, MTF50 {k.mtf50_per_mm:g} and MTF10 {k.mtf10_per_mm:g} cycles/mm"
    size = "" if told.image_pixels is None else f" of {' × '.join(map(str, told.image_pixels))} pixels"
    return [
        ("learned on", told.anatomy or UNKNOWN),
        ("task", told.task or UNKNOWN),
        ("trials", UNKNOWN if told.n_trials is None else f"{told.n_trials:,}{size}"),
        ("pixel size", _number(told.pixel_mm, "mm")),
        ("slice thickness", _number(told.slice_mm, "mm")),
        ("kernel", kernel or UNKNOWN),
        ("dose", UNKNOWN if told.dose_fraction is None else f"{told.dose_fraction:g} of full dose"),
        ("noise", _spread(told.noise_hu, "HU")),
        ("noise texture", _spread(told.texture_per_mm, "cycles/mm (mean frequency of the noise power)")),
        ("range", UNKNOWN if told.range_hu is None else "{:.4g} to {:.4g} HU".format(*told.range_hu)),
    ]


def _number(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:g} {unit}"


def _spread(spread: Spread | None, unit: str) -> str:
    if spread is None:
        return UNKNOWN
    return f"{spread.mean:.3g} ({spread.low:.3g} to {spread.high:.3g} in 90 % of the images) {unit}"


def _training(card: Mapping[str, Any]) -> str:
    parts = [str(card.get("stage") or UNKNOWN)]
    epochs = card.get("epochs")
    if isinstance(epochs, list) and epochs:
        parts.append(f"{len(epochs)} epochs")
    settings = card.get("training")
    if isinstance(settings, Mapping):
        named = ("loss", "head", "batch_size", "learning_rate", "finetune_learning_rate")
        parts += [f"{name} {settings[name]}" for name in named if name in settings]
    given = card.get("weights_from")
    if isinstance(given, Mapping):
        parts = [f"elsewhere: {given.get('file')}, SHA-256 {given.get('sha256')}"]
    mse = card.get("mse_validation_hu2")
    if isinstance(mse, int | float) and mse >= 0:
        parts.append(f"RMSE of the pretrained denoiser on validation trials {math.sqrt(mse):.3g} HU")
    return ", ".join(parts)


def _result_rows(results: ModelResults | None) -> list[tuple[str, str]]:
    if results is None:
        return [("test results", "not evaluated")]
    n, labels = results.n_test, page_labels()
    rows = [("test trials", f"{n.present} with the signal, {n.absent} without")]
    for arm in [results.low_dose, *results.arms]:
        if arm is not None:
            auc = [f"AUC of {labels.get(name, name)} {_interval(one)}" for name, one in arm.observers.items()]
            rows.append((arm.name, ", ".join([f"RMSE {_interval(arm.rmse_hu, 2)} HU", *auc])))
    return rows


def _interval(told: Estimate, digits: int = 3) -> str:
    texts = ["?" if one is None else f"{one:.{digits}f}" for one in (told.value, told.ci_low, told.ci_high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"
