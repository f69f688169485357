import json
import re

import numpy as np
import pytest
import torch

from dicom_files import save_series
from taskct.config import make_settings
from taskct.errors import UserError
from taskct.scanner.fbp import FBP
from taskct.scanner.units import MU_WATER_PER_MM
from taskct.simulation.lost import Losses, task_notes, together
from taskct.simulation.preview import make_preview
from taskct.simulation.scan import Scanner
from taskct.simulation.simulate import simulate
from taskct.simulation.sources import make_sources, split_groups
from taskct.study.run_folder import RunFolder
from taskct.sweep.executors import do_stage
from taskct.trials.store import check_disjoint
from taskct.trials.trials import SPLITS

SMALL = {
    "scanner": {"n_views": 60, "n_bins": 184, "bin_mm": 3.7, "object_pixels": 64, "object_pixel_mm": 5.2},
    "trials": {
        "n_train": 40,
        "n_validation": 10,
        "n_fresh": 12,
        "n_test": 20,
        "region_pixels": 32,
        "margin_pixels": 4,
    },
}


@pytest.fixture(scope="module")
def splits():
    return simulate(make_settings(SMALL))


def test_every_split_has_its_trials_balanced_and_no_background_twice(splits):
    assert tuple(splits) == SPLITS
    assert [len(splits[name]) for name in SPLITS] == [40, 10, 12, 20]
    for trials in splits.values():
        assert trials.signal_present.sum() == len(trials) // 2
        assert trials.noisy.shape[1:] == (40, 40)
        assert len(np.unique(trials.truth["case"])) == len(trials)
    check_disjoint({name: trials.truth["case"] for name, trials in splits.items()})


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(splits):
    again = simulate(make_settings(SMALL))
    other = simulate(make_settings(SMALL, {"seed": 1}))
    np.testing.assert_array_equal(again["test"].noisy, splits["test"].noisy)
    assert not np.array_equal(other["test"].noisy, splits["test"].noisy)


def test_a_signal_stands_where_the_truth_says_with_its_contrast():
    # A uniform body: the reference is flat but for the signal.
    settings = make_settings(
        SMALL,
        {
            "background": {"lump_hu": 0.0},
            "signal": {"contrast_hu": [100, 100], "diameter_mm": [12, 12], "position_mm": 6},
            "scanner": {"n_bins": 368, "bin_mm": 1.85, "n_views": 240, "filter": "ram-lak"},
            "trials": {"n_train": 4, "n_validation": 4, "n_fresh": 8, "n_test": 8},
        },
    )
    trials = simulate(settings)["test"]
    axis = np.arange(40) - 19.5
    for i in range(len(trials)):
        radius = np.hypot(axis[None, :] - trials.truth["x_mm"][i], axis[:, None] - trials.truth["y_mm"][i])
        inside = trials.reference[i][radius < 4].mean()
        ring = trials.reference[i][(radius > 9) & (radius < 12)].mean()
        assert inside - ring == pytest.approx(100.0 if trials.signal_present[i] else 0.0, abs=3.0)


def test_noise_follows_the_dose():
    def noise(dose):
        trials = simulate(make_settings(SMALL, {"scanner": {"dose_fraction": dose, "electronic_noise": 0}}))["train"]
        return np.std(trials.noisy - trials.reference)

    # Quantum noise goes as 1/√dose. 40 trials of about 300 independent pixels: the ratio scatters by 1 %, and
    # 5 % is five standard deviations.
    assert noise(0.1) / noise(0.4) == pytest.approx(2.0, rel=0.05)


def test_normal_dose_reference_has_noise_of_its_own():
    changed = {"scanner": {"reference": "normal-dose", "dose_fraction": 1.0}}
    trials = simulate(make_settings(SMALL, changed))["test"]
    clean = simulate(make_settings(SMALL, {"scanner": {"dose_fraction": 1.0}}))["test"]
    reference_noise = trials.reference - clean.reference
    noisy_noise = clean.noisy - clean.reference
    assert np.std(reference_noise) == pytest.approx(np.std(noisy_noise), rel=0.1)
    assert abs(np.corrcoef(reference_noise.ravel(), noisy_noise.ravel())[0, 1]) < 0.05  # 32,000 pixels


def test_places_keeps_regions_in_the_tissue():
    scanner = Scanner(make_settings(SMALL, {"scanner": {"region_count": 5, "region_step_mm": 60}}), "cpu")
    axis = (np.arange(64) - 31.5) * 5.2
    disc = np.hypot(axis[None, :], axis[:, None]) < 110
    places = scanner.draw.places(np.where(disc, 40.0, -1000.0).astype(np.float32))
    found = {scanner.regions[i].center_mm for i in places}
    # Regions of ±20 mm: those at 60 mm along one axis reach 82 mm, those at (60, 60) reach 113 mm.
    assert {(0.0, 0.0), (60.0, 0.0), (-60.0, 0.0), (0.0, 60.0), (0.0, -60.0)} <= found
    assert all(np.hypot(*center) < 100 for center in found)
    assert all(isinstance(region, FBP) for region in scanner.regions)


def test_an_object_beyond_the_detector_is_told_with_how_much():
    with pytest.warns(UserWarning, match=r"^\d\d\.\d% of the attenuation .* outside the field of view.*n_bins"):
        simulate(make_settings(SMALL, {"scanner": {"n_bins": 90}}))


def test_a_region_that_fits_nowhere_is_one_clear_line():
    with pytest.raises(UserError, match="field of view"):
        simulate(make_settings(SMALL, {"trials": {"region_pixels": 400}}))
    with pytest.raises(UserError, match="in none of the backgrounds"):
        simulate(make_settings(SMALL, {"scanner": {"object_pixel_mm": 1.0}}))


@pytest.mark.parametrize("n_groups", [4, 5, 7, 20, 133])
@pytest.mark.parametrize("wanted", [(6000, 1000, 2000, 4000), (1, 1, 1, 1), (10**6, 4, 8, 4), (4, 4, 8, 10**6)])
def test_split_groups_shares_out_every_group_once_in_blocks(n_groups, wanted):
    blocks = split_groups(n_groups, dict(zip(SPLITS, wanted, strict=True)))
    np.testing.assert_array_equal(np.concatenate(list(blocks.values())), np.arange(n_groups))
    assert min(map(len, blocks.values())) >= 1


def test_too_few_slices_for_the_splits():
    with pytest.raises(UserError, match="give 4 or more"):
        split_groups(3, dict.fromkeys(SPLITS, 10))


def test_series_of_one_patient_stay_together(tmp_path):
    for i, patient in enumerate(["A", "A", "B", "C", "D"]):
        save_series(tmp_path / f"series {i}", n=3, PatientID=patient, SeriesInstanceUID=f"1.2.{i + 1}")
    sources = make_sources(make_settings(SMALL, {"background": {"kind": "series", "path": str(tmp_path)}}))
    assert {source.case_kind for source in sources.values()} == {"patients"}
    cases = [set(source.background.case.tolist()) for source in sources.values()]
    assert cases == [{0}, {1}, {2}, {3}]
    assert len(sources["train"].background.image_hu) == 6  # both series of patient A


def test_a_series_without_a_path_is_one_clear_line():
    with pytest.raises(UserError, match=r"background\.path"):
        simulate(make_settings(SMALL, {"background": {"kind": "series"}}))


FEW = {"trials": {"n_train": 4, "n_validation": 4, "n_fresh": 8, "n_test": 12}}


def test_a_dose_that_leaves_nothing_of_an_image_is_refused():
    for dose in (1e-9, 1e-4):
        with pytest.raises(UserError, match=f"dose fraction of {dose:g} leaves nothing of an image: .*at most 25 %"):
            simulate(make_settings(SMALL, FEW, {"scanner": {"dose_fraction": dose}}))


def test_starved_rays_are_told_with_their_share():
    """The share by the definition: rays whose counts vary by more than a fifth, behind a disc of water."""
    changed = {"background": {"kind": "uniform", "mean_hu": 0, "body_mm": 300}, "scanner": {"dose_fraction": 0.01}}
    settings = make_settings(SMALL, FEW, changed)
    offset = Scanner(settings, "cpu").geometry.ray_offset_mm
    chord = 2 * np.sqrt(np.maximum(150.0**2 - offset**2, 0))
    counts = settings.scanner.i0 * 0.01 * np.exp(-MU_WATER_PER_MM * chord)
    share = np.mean(np.sqrt(counts + settings.scanner.electronic_noise**2) / counts > 0.2)
    with pytest.warns(UserWarning, match=r"(\d+) % of the rays of an object are starved .* and 0 % .* lost") as told:
        simulate(settings)
    said = float(str(told[0].message).split(" %")[0])
    assert said / 100 == pytest.approx(share, abs=0.02)  # the grid's disc has a rim of pixels
    with pytest.warns(UserWarning, match="starved"):
        shown = make_preview(settings)
    assert any("starved" in note for note in shown.notes)
    assert dict(shown.facts)["rays starved at the low dose"].startswith(f"{said:.0f}")


def test_places_outside_the_field_of_view_are_told_with_where():
    settings = make_settings(SMALL, FEW, {"scanner": {"region_count": 3, "region_step_mm": 200}})
    with pytest.warns(UserWarning, match=r"8 of 9 places of the region lie outside the field of view .*\(-200, -200\)"):
        simulate(settings)
    with pytest.warns(UserWarning, match="8 of 9"):
        shown = make_preview(settings)
    assert any("8 of 9 places" in note for note in shown.notes)
    assert dict(shown.facts)["places of the region"] == "1 used of 9, 8 outside the field of view"


def test_places_that_lie_in_no_tissue_are_told():
    """Of nine places 105 mm apart a body of 150 mm holds the middle one; where most are of use nothing is said."""
    body = {"background": {"kind": "uniform", "body_mm": 150}, "scanner": {"region_count": 3, "region_step_mm": 105}}
    with pytest.warns(UserWarning, match=r"8 of 9 places of the region fit into none of 28 objects .*\(-105, -105\)"):
        simulate(make_settings(SMALL, FEW, body))
    simulate(make_settings(SMALL, FEW, body, {"scanner": {"region_step_mm": 20}}))


def test_losses_of_parts_are_those_of_the_worst_object_and_of_any_place():
    one, other = Losses(0.1, 0.2, 0.0, 3, 1, (True, False)), Losses(0.0, 0.3, 0.1, 4, 0, (False, False))
    assert together([one, Losses(), other]) == Losses(0.1, 0.3, 0.1, 7, 1, (True, False))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"signal": {"preset": "lung-nodule"}, "background": {"kind": "abdomen"}}, "measured in the lung.*abdomen"),
        ({"signal": {"preset": "lung-nodule"}}, "measured in the lung.*soft tissue"),
        ({"signal": {"preset": "liver-metastasis"}, "background": {"kind": "thorax"}}, "measured in the liver"),
        (
            {
                "signal": {"preset": "ground-glass-nodule", "site": "organ"},
                "background": {"kind": "series", "organ": "liver"},
            },
            "measured in the lung, and here it lies in liver",
        ),
        ({"scanner": {"exposure": "mas", "energy": "poly"}}, "photons of 1 mm rows"),
        ({"signal": {"preset": "lung-nodule"}, "background": {"kind": "thorax"}}, None),
        ({"signal": {"preset": "lung-nodule"}, "background": {"kind": "uniform", "mean_hu": -850}}, None),
        ({"signal": {"preset": "liver-metastasis"}}, None),
        ({"signal": {"preset": "lung-nodule"}, "background": {"kind": "series"}}, None),
        ({"scanner": {"exposure": "mas", "energy": "poly", "slice_mm": 3}}, None),
        ({}, None),
    ],
)
def test_what_is_at_odds_with_the_preset_or_the_thickness_is_told(changed, said):
    notes = list(task_notes(make_settings(changed, {"trials": {"region_pixels": 64}})))
    if said is None:
        assert notes == []
    else:
        (note,) = notes
        assert re.search(said, note)


def test_clustered_lumps_scale_with_their_unit():
    """On a grid twice as coarse a unit twice as long draws the same pixels."""
    kind = {"background": {"kind": "clustered-lumpy", "texture_hu": 20, "body_mm": 100}}
    fine, coarse = (
        make_sources(
            make_settings(
                SMALL, kind, {"background": {"cluster_unit_mm": unit}, "scanner": {"object_pixel_mm": 4 * unit}}
            )
        )["test"].background.texture.draw(np.random.default_rng(0), 1, n_pixels=32, pixel_mm=4 * unit)
        for unit in (0.5, 1.0)
    )
    np.testing.assert_allclose(coarse, fine, atol=1e-4)
    assert fine.std() > 5


def test_what_was_lost_is_kept_in_the_run_folder(tmp_path):
    few = {"scanner": {"dose_fraction": 0.01}}
    RunFolder(tmp_path / "run", make_settings(SMALL, FEW, few), device=torch.device("cpu"))
    told = do_stage(str(tmp_path / "run"), "simulate", device="cpu", n_threads=1)["notes"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "stages" / "log.jsonl").read_text().splitlines()]
    kept = [line["note"] for line in lines if line["event"] == "note" and line["stage"] == "simulate"]
    assert kept == told
    assert any("of the rays of an object are starved" in note for note in kept)
