"""The task of a study in words, from its settings."""

from taskct.config import ProfileSettings, Settings
from taskct.names import setting_text
from taskct.tasks.background_registry import BACKGROUNDS
from taskct.tasks.shape_registry import SHAPE_KINDS


def _organ(settings: Settings) -> str:
    organ = settings.background.organ or BACKGROUNDS[settings.background.kind].default_organ or "organ"
    return f"the organ labelled {organ}" if organ.isdecimal() else f"the {organ}"


def _values(pair: tuple[float, float]) -> str:
    low, high = pair
    return setting_text(low) if low == high else f"{setting_text(low)} to {setting_text(high)}"


def _profile(profile: ProfileSettings) -> str:
    """Shape, contrast and size of a signal in words."""
    kinds = [SHAPE_KINDS[shape] for shape in profile.shape]
    shapes, noun = " or ".join(kind.text for kind in kinds), " lesion" if kinds[-1].adjective else ""
    size = "full width at half maximum" if profile.shape == ("gaussian",) else "diameter"
    return f"{shapes}{noun} of {_values(profile.contrast_hu)} HU contrast and {_values(profile.diameter_mm)} mm {size}"


def describe(settings: Settings) -> str:
    """The task in one paragraph."""
    g, h0 = settings.signal, settings.absent_signal
    place = {
        "square": f"within ±{setting_text(g.position_mm)} mm of the region's centre in x and y",
        "disc": f"within {setting_text(g.position_mm)} mm of the region's centre",
        "list": f"at {len(g.sites_mm)} known place{'s' if len(g.sites_mm) > 1 else ''}",
        "organ": f"in {_organ(settings)}",
    }[g.site]
    verb, other = ("Tell", f" from {_profile(h0)}") if h0.inserted else ("Detect", "")
    task = f"{verb} {_profile(g)}{other}, {place}, in {BACKGROUNDS[settings.background.kind].text} "
    return f"{task}(signal and background known statistically). {_scan(settings)}"


def _scan(settings: Settings) -> str:
    """How the images come about, in words."""
    s = settings.scanner
    if settings.background.kind == "paired":
        return "The noisy image is the low-dose series, the reference the normal-dose one."
    beam = {"flat": "fan beam, flat detector", "curved": "fan beam, curved detector", "parallel": "parallel beam"}
    dose = f"{setting_text(s.dose_fraction)} of full dose"
    if s.exposure == "i0":
        photons = s.i0 * s.dose_fraction
        dose = f"{f'{photons:,.0f}' if photons >= 10 else f'{photons:.2g}'} photons a ray ({dose})"
    elif s.exposure == "mas":
        dose = f"{s.mas * s.dose_fraction:g} mAs ({dose})"
    else:
        dose = f"{dose}, which is {setting_text(s.noise_hu)} HU in {setting_text(s.noise_body_mm)} mm of water"
    parts = [
        f"{s.preset}: {beam[s.detector]}" if s.preset else beam[s.detector].capitalize(),
        "short scan" if s.scan == "short" else "full turn",
        f"{s.n_views} views a turn of {s.n_bins} bins",
        f"{s.kvp} kV spectrum with water beam-hardening correction" if s.energy == "poly" else "",
        f"bowtie for {setting_text(s.bowtie_mm)} mm" if s.bowtie_mm else "",
        f"tube current modulated ({setting_text(s.tube_modulation)})" if s.tube_modulation else "",
        f"slices of {setting_text(s.slice_mm)} mm" if s.slice_mm else "",
        dose,
    ]
    scan = ", ".join(part for part in parts if part)
    if s.acquisition == "insertion":
        return (
            f"{scan}: the noise that is missing, filtered by {s.filter}, is added to the image, which is the reference."
        )
    reference = "the noise-free" if s.reference == "noise-free" else "a full-dose"
    return (
        f"{scan}, filtered backprojection ({s.filter}) at {setting_text(s.pixel_mm)} mm pixels; the reference is "
        f"{reference} image of the same object."
    )


def background_note(settings: Settings) -> str | None:
    """What limits the backgrounds, or None."""
    files = BACKGROUNDS[settings.background.kind].files
    if not files:
        return None
    noise = "" if files == "labels" else "The series' own noise is part of these backgrounds and of the reference. "
    return noise + (
        "What is kept apart between the splits is the patient, or the slice of the only patient; then the slices are "
        "split in blocks of neighbours, which look alike at the blocks' edges."
    )
