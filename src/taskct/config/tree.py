"""The settings of a study: one validated tree, each value with its unit, range and default."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from taskct.config.fields import (
    OneOf,
    Positive,
    PositiveSpan,
    Section,
    Span,
    listed,
    named,
    ordered,
    ranged,
    setting,
    within,
)
from taskct.config.imported import ImportedSettings
from taskct.config.model import ModelSettings
from taskct.config.path import PathSettings
from taskct.config.training import NO_AXES, DenoiserSettings, TrainingSettings
from taskct.observer_registry import CONDITIONS, observers_in_study
from taskct.scanner.presets import SCANNERS
from taskct.tasks.background_registry import BACKGROUNDS, kinds_using
from taskct.tasks.layouts import LAYOUTS
from taskct.tasks.lesions import LESIONS
from taskct.tasks.shape_registry import SHAPES, SIGNAL_RANGES, shapes_using


def of_kinds(name: str, text: str) -> str:
    """What a setting of `background` means, after the kinds that it is for."""
    return f"{', '.join(kinds_using(name))}: {text}"


def of_shapes(name: str, text: str) -> str:
    """What a setting of a signal means, after the shapes that it is for."""
    return f"{', '.join(shapes_using(name))}: {text}"


Aspect = Annotated[float, within(SIGNAL_RANGES["aspect"])]
Blur = Annotated[float, within(SIGNAL_RANGES["blur_mm"])]
Depth = Annotated[float, within(SIGNAL_RANGES["lobe_depth"])]
Diameter = Annotated[float, within(SIGNAL_RANGES["diameter_mm"])]
Exponent = Annotated[float, within(SIGNAL_RANGES["exponent"])]
Lobes = Annotated[int, within(SIGNAL_RANGES["n_lobes"])]


class OrganSettings(Section):
    """How an organ of a label map reads."""

    hu: float = setting(40.0, "mean", "HU", ge=-1000, le=3000)
    std_hu: float = setting(0.0, "standard deviation of the mean between cases", "HU", ge=0, le=500)
    texture_hu: float = setting(0.0, "standard deviation of its texture", "HU", ge=0, le=500)


class BackgroundSettings(Section):
    """What the signal hides in."""

    kind: Annotated[str, OneOf(tuple(BACKGROUNDS))] = setting(
        "torso", "phantoms; textures in a water-like body; a label map; real CT; real low and normal dose"
    )
    path: str | None = setting(
        None, of_kinds("path", "a folder with one DICOM series or one a sub-folder, or NIfTI (.nii, .nii.gz)")
    )
    organs_path: str | None = setting(None, of_kinds("organs_path", "organ labels on the same grid, NIfTI"))
    organ: Annotated[str | None, BeforeValidator(named)] = setting(
        None, "where a lesion may lie with signal.site=organ: by name, or the number of a label"
    )
    organs: dict[int, OrganSettings] = setting(
        {}, of_kinds("organs", "how every label but 0 (air) reads, as {5: {hu: 110, std_hu: 10, texture_hu: 8}}")
    )
    layout: str = setting(
        "cct189", of_kinds("layout", f"its layout: {', '.join(LAYOUTS)}, or a YAML file"), min_length=1
    )
    rods: bool = setting(False, of_kinds("rods", "whether the layout's own rods stand in it, beside the signals"))
    mean_hu: float = setting(40.0, of_kinds("mean_hu", "mean of the body"), "HU", ge=-1000, le=3000)
    body_mm: float = setting(280.0, of_kinds("body_mm", "diameter of the body"), "mm", gt=0, le=1000)
    width_mm: PositiveSpan = setting(
        (290.0, 370.0), of_kinds("width_mm", "smallest and largest width of the body"), "mm"
    )
    texture_hu: float = setting(15.0, of_kinds("texture_hu", "deviation of the texture"), "HU", ge=0, le=500)
    power_exponent: float = setting(3.0, of_kinds("power_exponent", "β of the noise power f^-β"), ge=0, le=6)
    lump_hu: float = setting(12.0, of_kinds("lump_hu", "standard deviation of the lumps' peak"), "HU", ge=0, le=500)
    mean_lumps: float = setting(300.0, of_kinds("mean_lumps", "expected number of lumps"), ge=0, le=5000)
    lump_sigma_mm: PositiveSpan = setting(
        (3.0, 10.0), of_kinds("lump_sigma_mm", "size of a lump (standard deviation)"), "mm"
    )
    cluster_unit_mm: Positive = setting(0.5, of_kinds("cluster_unit_mm", "scale, one pixel of the publication"), "mm")
    n_vessels: int = setting(0, of_kinds("n_vessels", "vessels near the middle"), ge=0, le=20)
    region_hu: Span = setting((-300.0, 3000.0), "98 % of a region's pixels must lie between these", "HU")
    shift_mm: float = setting(
        20.0, of_kinds("shift_mm", "largest random shift of a slice in x and y"), "mm", ge=0, le=200
    )
    placements: int = setting(8, of_kinds("placements", "random shifts and flips of every slice"), ge=1, le=1000)


class ProfileSettings(Section):
    """What a signal looks like; every range is drawn from uniformly and on its own."""

    shape: Annotated[tuple[Annotated[str, OneOf(SHAPES)], ...], BeforeValidator(listed)] = setting(
        ("disc",), "one shape, or several of which each signal has one", min_length=1
    )
    contrast_hu: Span = setting(
        (30.0, 70.0), "lowest and highest difference from the background; equal for one value", "HU"
    )
    diameter_mm: Annotated[tuple[Diameter, Diameter], AfterValidator(ordered)] = setting(
        (4.0, 6.5), "size, [lowest, highest]; a Gaussian's is its half width", "mm"
    )
    diameter_law: Literal["uniform", "log-uniform"] = setting("uniform", "how sizes are distributed")
    blur_mm: Annotated[tuple[Blur, Blur], AfterValidator(ordered)] = setting(
        (0.0, 0.0), "blur of the rim (standard deviation)", "mm"
    )
    aspect: Annotated[tuple[Aspect, Aspect], AfterValidator(ordered)] = setting(
        (1.0, 1.0), of_shapes("aspect", "minor over major axis")
    )
    angle_deg: Span = setting((0.0, 360.0), "orientation", "degrees")
    exponent: Annotated[tuple[Exponent, Exponent], AfterValidator(ordered)] = setting(
        (1.5, 1.5), of_shapes("exponent", "of the profile (1 - (r/R)²)^exponent")
    )
    n_lobes: Annotated[tuple[Lobes, Lobes], AfterValidator(ordered)] = setting(
        (5, 8), of_shapes("n_lobes", "their number")
    )
    lobe_depth: Annotated[tuple[Depth, Depth], AfterValidator(ordered)] = setting(
        (0.2, 0.3), of_shapes("lobe_depth", "height of lobes over radius; long spicules 0.5 to 1")
    )


class SignalSettings(ProfileSettings):
    """What may have to be found (H1)."""

    preset: str | None = setting(None, f"sets shape, size, contrast and blur of a lesion: {', '.join(LESIONS)}")
    site: Literal["square", "disc", "list", "organ"] = setting(
        "square", "where its centre lies: about the region's centre, at signal.sites_mm, or inside an organ"
    )
    position_mm: float = setting(
        6.0, "square, organ: within ± this of the region's centre in x and y; disc: within this", "mm", ge=0, le=100
    )
    sites_mm: tuple[tuple[float, float], ...] = setting(
        ((0.0, 0.0),), "list: offsets (x, y) from the region's centre; a single one is a fixed site", "mm", min_length=1
    )


def _rim_mm(profile: ProfileSettings) -> float:
    """How far a signal may reach from its middle, mm: lobes and a stretch make it longer than its mean radius."""
    lobes = 1 + max(profile.lobe_depth) if set(profile.shape) & set(shapes_using("lobe_depth")) else 1.0
    stretch = min(profile.aspect) ** -0.5 if set(profile.shape) & set(shapes_using("aspect")) else 1.0
    return max(profile.diameter_mm) / 2 * lobes * stretch


class AbsentSignalSettings(ProfileSettings):
    """What the other trials hold (H0): nothing, or a signal of its own that has to be told from the first."""

    inserted: bool = setting(False, "whether there is one: characterization instead of detection")


class ScannerSettings(Section):
    """How the object is imaged: a circular scan and filtered backprojection."""

    preset: str | None = setting(
        None, f"sets detector, distances, bins, pitch, offset and views: {', '.join(SCANNERS)}"
    )
    detector: Literal["flat", "curved", "parallel"] = setting("flat", "shape of the detector")
    source_isocenter_mm: Positive = setting(595.0, "source to isocentre", "mm")
    source_detector_mm: Positive = setting(1085.6, "source to detector", "mm")
    n_bins: int = setting(368, "detector bins", ge=16, le=4096)
    bin_mm: Positive = setting(1.85, "bin pitch on the detector (parallel: at the isocentre)", "mm")
    bin_offset: float = setting(0.0, "shift of the detector; 0.25 is the quarter-detector offset", "bins", ge=-8, le=8)
    n_views: int = setting(240, "views in a turn, a multiple of 4", ge=4, le=4096, multiple_of=4)
    scan: Literal["full", "short"] = setting("full", "a turn, or half a turn and the fan angle (Parker weights)")
    exposure: Literal["i0", "mas", "noise"] = setting("i0", "what sets the full dose: i0, mas, or noise_hu")
    i0: float = setting(8e5, "photons per ray without an object at full dose", "photons", gt=0, le=1e9)
    mas: Positive = setting(200.0, "exposure=mas (needs energy=poly): tube current × time of a turn", "mAs")
    noise_hu: Positive = setting(
        10.0, "exposure=noise: standard deviation at full dose in the middle of a water cylinder", "HU"
    )
    noise_body_mm: Positive = setting(300.0, "exposure=noise: diameter of that cylinder", "mm")
    dose_fraction: float = setting(0.25, "dose relative to full dose", gt=0, le=1)
    electronic_noise: float = setting(10.0, "standard deviation of the readout noise", "photons", ge=0, le=1e4)
    bowtie_mm: Positive | None = setting(None, "bowtie that evens out half of a water cylinder of this diameter", "mm")
    tube_modulation: float = setting(0.0, "strength of the tube-current modulation", ge=0, le=1)
    energy: Literal["mono", "poly"] = setting("mono", "one energy, or a spectrum with water beam-hardening correction")
    kvp: Literal[80, 100, 120, 140] = setting(120, "energy=poly: tube voltage", "kV")
    filter: Literal["ram-lak", "shepp-logan", "cosine", "hann", "hamming", "soft", "sharp"] = setting(
        "hann", "ramp kernel; soft is a Hann window up to 0.8, sharp a cosine"
    )
    filter_cutoff: float = setting(
        1.0, "where it ends, over the bins' Nyquist frequency; not of soft, sharp", gt=0, le=1
    )
    acquisition: Literal["scan", "insertion"] = setting(
        "scan", "simulate the whole scan, or only add the missing noise to the image as it is"
    )
    reference: Literal["noise-free", "normal-dose"] = setting("noise-free", "what the denoiser learns to reach")
    object_pixels: int = setting(128, "side of the object grid", "pixels", ge=16, le=1024)
    object_pixel_mm: Positive = setting(2.6, "pitch of the object grid", "mm")
    pixel_mm: Positive = setting(1.0, "pitch of the reconstructed pixels", "mm")
    slice_mm: float = setting(
        0.0, "thickness that averages sphere and ellipsoid; exposure=mas counts at least 1 mm", "mm", ge=0, le=50
    )
    region_count: int = setting(1, "places of the region along x and along y", ge=1, le=16)
    region_step_mm: Positive = setting(40.0, "distance between these places", "mm")


class TrialsSettings(Section):
    """How many trials, and their size."""

    n_train: int = setting(6000, "trials to train the networks", ge=4)
    n_validation: int = setting(1000, "trials for every choice", ge=4)
    n_fresh: int = setting(2000, "trials to fit observers afresh", ge=8)
    n_test: int = setting(4000, "trials behind every figure", ge=4)
    region_pixels: int = setting(52, "side of the region that is scored", "pixels", ge=16, le=512)
    margin_pixels: int = setting(6, "margin that the denoiser sees around the region", "pixels", ge=0, le=256)


MORE_OBSERVERS = observers_in_study("on request")


class ObserverSettings(Section):
    """The observers; each regularization is chosen on the validation trials, arm by arm."""

    ridges: tuple[Positive, ...] = setting(
        (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0), "candidates for the Hotelling observers", min_length=1
    )
    weight_decays: tuple[Positive, ...] = setting(
        (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0), "candidates for the fresh SLNN", min_length=1
    )
    viewing_distance_mm: float = ranged(1500.0, CONDITIONS["viewing_distance_mm"])
    magnification: float = ranged(1.0, CONDITIONS["magnification"])
    internal_noise_hu: float = ranged(3.0, CONDITIONS["internal_noise_hu"])
    more: tuple[Annotated[str, OneOf(MORE_OBSERVERS)], ...] = setting(
        (), f"further observers fitted afresh, beside {', '.join(observers_in_study('always'))}"
    )
    bound: Annotated[str, OneOf(MORE_OBSERVERS)] | None = setting(
        None, "one that is fitted to the low-dose images alone: what there is to be had, as cnn tells"
    )
    human: str | None = setting(
        None, "a file of `taskct human`: an observer with the internal noise of people, fitted afresh to every arm"
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.more)) < len(self.more):
            raise ValueError(f"observers.more names an observer twice: {', '.join(self.more)}")
        return self


class EvaluationSettings(Section):
    """How results are measured and shown."""

    n_bootstrap: int = setting(1000, "resamples behind the bootstrap intervals", ge=100, le=100000)
    data_range_hu: Positive = setting(400.0, "range that PSNR and SSIM refer to", "HU")
    data_low_hu: float = setting(-160.0, "low end of that range; SSIM takes it as intensity 0", "HU", ge=-2000, le=3000)
    chosen_price: float = setting(
        0.05, "RMSE that the λ shown in the panel may cost over the control's, as a fraction", gt=0, le=10
    )
    tolerance: float = setting(0.02, "RMSE that an arm may cost over the control's, as a fraction", gt=0, le=1)
    window_hu: tuple[float, Positive] = setting((60.0, 120.0), "display window: centre and width", "HU")
    difference_window_hu: Positive = setting(60.0, "width of the window of difference images", "HU")
    n_examples: int = setting(4, "trials of each class in the panel, the first ones", ge=1, le=10)


TASK_SECTIONS = ("background", "signal", "absent_signal", "scanner")
"""What a test task may change; its trials are as many and as large as the study's."""

LOCALIZE = "localize_mm"
"""Beside the settings of a test task: the signal must be found, too, within this distance of its place, mm."""

TEST_NAME = re.compile(r"[\w][\w.-]{0,39}")


_NETWORK_SECTIONS = ("denoiser", "training")


class Settings(Section):
    """A whole study."""

    name: str = setting("demo", "name of the study", min_length=1, max_length=80)
    seed: int = setting(0, "seed of the simulation and of every resampling", ge=0, lt=2**31)
    background: BackgroundSettings = BackgroundSettings()
    signal: SignalSettings = SignalSettings()
    absent_signal: AbsentSignalSettings = AbsentSignalSettings()
    scanner: ScannerSettings = ScannerSettings()
    trials: TrialsSettings = TrialsSettings()
    denoiser: DenoiserSettings = DenoiserSettings()
    training: TrainingSettings = TrainingSettings()
    path: PathSettings = PathSettings()
    imported: ImportedSettings = ImportedSettings()
    observers: ObserverSettings = ObserverSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    model: ModelSettings = ModelSettings()
    grid: dict[str, tuple[Any, ...]] = setting(
        {}, "more values of settings of denoiser and training, by dotted name: every combination becomes arms"
    )

    tests: dict[str, dict[str, Any]] = setting(
        {}, "test tasks of `taskct shift`, each a name and what differs: {small: {signal.diameter_mm: [3, 4]}}"
    )

    @model_validator(mode="before")
    @classmethod
    def _start_from_given_weights(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic checks it afterwards
        """Where the network comes with its weights, fine-tuning starts from these: nothing is pretrained."""
        denoiser, training = (given.get(name, {}) if isinstance(given, dict) else None for name in _NETWORK_SECTIONS)
        if not (isinstance(denoiser, dict) and isinstance(training, dict)):
            return given
        if denoiser.get("weights") is not None and training.get("start", "mse") == "mse":
            return {**given, "training": {**training, "start": "weights"}}
        return given

    @model_validator(mode="after")
    def _weights_are_given(self) -> Self:
        if self.training.start == "weights" and self.denoiser.weights is None:
            raise ValueError("training.start=weights fine-tunes what denoiser.weights gives: name its file")
        return self

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        b, s = self.background, self.scanner
        if s.acquisition == "insertion" and b.kind != "series":
            raise ValueError("scanner.acquisition=insertion adds noise to real images: background.kind must be series")
        if s.acquisition == "insertion" and s.dose_fraction == 1:
            raise ValueError("insertion at scanner.dose_fraction=1 adds nothing: give less than 1")
        if s.reference == "normal-dose" and (s.acquisition == "insertion" or b.kind == "paired"):
            raise ValueError("the reference is the image itself here: leave scanner.reference at noise-free")
        if s.exposure == "mas" and s.energy == "mono" and b.kind != "paired":
            raise ValueError("scanner.exposure=mas counts the photons of a spectrum: set scanner.energy=poly")
        if s.filter in ("soft", "sharp") and s.filter_cutoff != 1:
            raise ValueError(f"scanner.filter={s.filter} has a cutoff of its own: leave scanner.filter_cutoff at 1")
        return self

    @model_validator(mode="after")
    def _arms_have_names_of_their_own(self) -> Self:
        for name in self.imported.names:
            if name in self.denoiser.classical:
                raise ValueError(
                    f"imported.names has {name}, as denoiser.classical has: nobody could tell them apart on the page; "
                    "import under another name"
                )
        return self

    @model_validator(mode="after")
    def _patches_hold_a_region(self) -> Self:
        patch, margin = self.training.patch_pixels, self.trials.margin_pixels
        if patch is not None and patch <= 2 * margin:
            raise ValueError(
                f"training.patch_pixels is {patch}: twice trials.margin_pixels ({margin}) is cut from it, so give at "
                f"least {2 * margin + 8} pixels, or null"
            )
        return self

    @model_validator(mode="after")
    def _training_has_the_trials(self) -> Self:
        n = self.training.n_trials
        if n is not None and n > self.trials.n_train:
            raise ValueError(
                f"training.n_trials is {n}: the study has {self.trials.n_train} training trials (trials.n_train); give "
                "at most that many, or null"
            )
        return self

    @model_validator(mode="after")
    def _a_path_is_trained(self) -> Self:
        start, method = self.imported.path_of, self.training.method
        if start is not None and method not in ("task-path", "both"):
            raise ValueError(
                f"imported.path_of is {start}, but training.method={method} trains no task path: give task-path or both"
            )
        if self.grid and method == "none":
            raise ValueError(
                "grid spans settings of the training, and training.method=none trains nothing: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _tests_change_the_task(self) -> Self:
        for test, changes in self.tests.items():
            if not TEST_NAME.fullmatch(test):
                raise ValueError(
                    f"tests has the name {test!r}: give 1 to 40 letters, digits, points, hyphens or underscores"
                )
            for name in changes:
                section, _, rest = name.partition(".")
                if name != LOCALIZE and (section not in TASK_SECTIONS or not rest):
                    raise ValueError(
                        f"tests.{test} changes {name}: a test task changes settings of {', '.join(TASK_SECTIONS)} by "
                        f"their dotted names, and may have {LOCALIZE}"
                    )
        return self

    @model_validator(mode="after")
    def _grid_is_of_training(self) -> Self:
        sections: dict[str, type[Section]] = {"denoiser": DenoiserSettings, "training": TrainingSettings}
        for name, values in self.grid.items():
            section, _, rest = name.partition(".")
            first = rest.partition(".")[0]
            known, other = sections.get(section), getattr(self, section, None)
            if known is None and isinstance(other, Section) and first in type(other).model_fields:
                raise ValueError(
                    f"grid.{name} is no axis of a study, which has one set of trials: `taskct run --each "
                    f"{name}=VALUES` makes a run of each value"
                )
            if known is None or first not in known.model_fields or name in NO_AXES:
                raise ValueError(
                    f"grid.{name} is no axis of a study: use settings of denoiser and training by their dotted names, "
                    f"but {', '.join(NO_AXES)}"
                )
            if not values:
                raise ValueError(f"grid.{name} is empty: give a list of values")
        return self

    @model_validator(mode="after")
    def _signals_fit_the_region(self) -> Self:
        position_mm = self.signal.position_mm
        if self.signal.site == "list":
            position_mm = max(abs(offset) for site in self.signal.sites_mm for offset in site)
        half_mm = self.trials.region_pixels * self.scanner.pixel_mm / 2
        inserted = {"signal": self.signal} | (
            {"absent_signal": self.absent_signal} if self.absent_signal.inserted else {}
        )
        for section, profile in inserted.items():
            radius_mm = _rim_mm(profile)
            if position_mm + radius_mm > half_mm:
                own = f"(its site {position_mm:g} mm + radius of {section} up to {radius_mm:.4g} mm)"
                region = f"{half_mm:g} mm (half of trials.region_pixels x scanner.pixel_mm)"
                reach = f"a signal may reach {position_mm + radius_mm:.4g} mm from the region's centre"
                raise ValueError(f"{reach} {own}; allowed: {region}")
        return self
