"""Settings that have no effect beside others, so that nobody is misled."""

from collections.abc import Callable, Iterator

from taskct.config.listing import dotted_settings
from taskct.config.tree import BackgroundSettings, ProfileSettings, Settings
from taskct.tasks.background_registry import BACKGROUNDS, kinds_using
from taskct.tasks.shape_registry import SHAPE_KINDS, shapes_using

Applies = Callable[[Settings], bool]

SOLID = tuple(name for name, kind in SHAPE_KINDS.items() if kind.solid)
DOSE = ("dose_fraction", "exposure", "electronic_noise", "bowtie_mm", "tube_modulation", "energy")


def _kind(*kinds: str) -> Applies:
    return lambda settings: settings.background.kind in kinds


def _shape(section: str, *shapes: str) -> Applies:
    return lambda settings: bool(set(getattr(settings, section).shape) & set(shapes))


def _scanned(settings: Settings) -> bool:
    return BACKGROUNDS[settings.background.kind].files != "pairs"


def _pretrained_here(settings: Settings) -> bool:
    """Whether the settings of pretraining are used: not where the network comes with its weights."""
    return settings.denoiser.weights is None or settings.training.start == "scratch"


RULES: dict[str, tuple[Applies, str]] = {
    **{
        f"training.{name}": (_pretrained_here, "denoiser.weights: nothing is pretrained here")
        for name in ("pretrain_epochs", "learning_rate", "patch_pixels")
    },
    **{f"scanner.{name}": (_scanned, "background.kind=paired, whose doses are given") for name in DOSE},
    "scanner.i0": (lambda s: s.scanner.exposure == "i0" and _scanned(s), "this scanner.exposure"),
    "scanner.mas": (lambda s: s.scanner.exposure == "mas" and _scanned(s), "this scanner.exposure"),
    "scanner.noise_hu": (lambda s: s.scanner.exposure == "noise" and _scanned(s), "this scanner.exposure"),
    "scanner.noise_body_mm": (lambda s: s.scanner.exposure == "noise" and _scanned(s), "this scanner.exposure"),
    "scanner.kvp": (lambda s: s.scanner.energy == "poly" and _scanned(s), "scanner.energy=mono"),
    "scanner.slice_mm": (
        lambda s: s.scanner.exposure == "mas" or _shape("signal", *SOLID)(s),
        f"these shapes: it averages {' and '.join(SHAPE_KINDS[name].text for name in SOLID)}",
    ),
    "scanner.region_step_mm": (lambda s: s.scanner.region_count > 1, "scanner.region_count=1"),
    **{
        f"background.{name}": (_kind(*kinds_using(name)), "this background.kind")
        for name in BackgroundSettings.model_fields
        if kinds_using(name)
    },
    "background.organ": (lambda s: s.signal.site == "organ", "this signal.site: set signal.site=organ"),
    "signal.sites_mm": (lambda s: s.signal.site == "list", "this signal.site: set signal.site=list"),
    "signal.position_mm": (lambda s: s.signal.site != "list", "signal.site=list"),
    **{
        f"{section}.{name}": (_shape(section, *shapes), "these shapes")
        for section in ("signal", "absent_signal")
        for name in ProfileSettings.model_fields
        if (shapes := shapes_using(name))
    },
}
"""By setting: where it has an effect, and beside what it has none."""


def without_effect(settings: Settings) -> Iterator[str]:
    """One line for every setting that differs from its default and changes nothing.

    Examples
    --------
    >>> list(without_effect(Settings.model_validate({"scanner": {"noise_hu": 50}})))
    ['scanner.noise_hu has no effect with this scanner.exposure']
    """
    for name, field in dotted_settings():
        section, _, key = name.rpartition(".")
        held = getattr(settings, section) if section else settings
        if getattr(held, key) == field.get_default():
            continue
        if section == "absent_signal" and not settings.absent_signal.inserted:
            yield f"{name} has no effect with absent_signal.inserted=false"
        elif name in RULES and not RULES[name][0](settings):
            yield f"{name} has no effect with {RULES[name][1]}"
