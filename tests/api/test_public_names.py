"""What taskct and its rooms offer: the list; each name is documented, and nothing is imported before it is used."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import taskct

ROOT = Path(taskct.__file__).parent

FACE = """
Plan Trials UserError append_head auc denoise finetune load_denoiser make_observer open_run plot_roc pretrain
read_series read_study simulate train_path write_series
"""

ROOMS = {
    "apply.curves": "CurvePlan DoseCurves Reader analyze_doses curves_of_table read_dose_table",
    "apply.observe": "Crossed EvaluationPlan Eye Known Mode Observation Task cross_validate crossed_difference observe",
    "config": """
        ProfileSettings Settings dotted_settings make_settings mentions parse_overrides preset_names range_of
        read_preset settings_named to_yaml tree_of unit_of without_effect
    """,
    "denoisers": """
        Blend CLASSICAL ContextCNN Correction Denoiser DnCNN NETWORKS REDCNN Reach ResidualCNN ResidualUNet Response
        SquaredError TaskPath denoise filter_bilateral filter_images find_reach make_network measure_response
        minimize_total_variation trust_network receptive_radius tune
    """,
    "io": """
        CTSeries ImageStack Pair RawWords Truth Volume organ_mask read_images read_imrmc read_label_map
        read_label_volume read_label_volumes read_nifti read_npy read_pair read_paired read_paired_volumes
        read_ratings_csv read_series read_slice read_truth read_volumes write_imrmc write_ratings_csv write_series
        is_marks read_marks write_marks
    """,
    "metrics": """
        CONVENTIONS Clusters Comparison ControlReading Convention DoseAreas DoseCell DoseReading EqualDose Interval
        PairedDifference auc_by_dose dose_at_equal monotone_curve noninferiority_by_dose auc auc_at_rmse best_within
        bootstrap_auc energy_of_price frozen_price_limit refitted_price_limit
        bootstrap_difference bootstrap_means cross_power first_below frequencies_per_mm noise_power quality_in
        bootstrap_interval cho_snr2 compare_aucs compare_curves correct_fraction
        correct_localization d_a d_a_interval delong_covariance delong_interval equivalence exact_cho_interval
        exact_cho_snr2_interval holm lroc_area lroc_covariance lroc_curve lroc_interval mse_hu2 noninferiority
        paired_delong paired_lroc partial_auc partial_auc_interval peak_disc_hu psnr_db rmse_hu
        roc_curve sensitivity_at sensitivity_interval site_bias_hu snr_t snr_t_interval specificity_at
        specificity_interval ssim superiority d_prime_interval d_prime_of proportion_correct
        ContrastToNoise Disc EyeModel FrequencyDetectability Linearity NoiseByPosition NoiseSpectrum RadialSpectrum
        RemovedStructure TaskSpectrum Transfer Uniformity autocorrelation contrast_to_noise disc_task disc_transfer
        edge_transfer fit_disc frequency_d_prime gaussian_task hu_linearity noise_by_position noise_spectrum
        removed_structure uniformity
        FigureOfMerit Figures MarkStudy PlacedMark CaseReading ScoredMark TrueLesion afroc_curve figures_of_merit
        froc_curve
        sensitivity_on
    """,
    "observers": """
        CNNObserver ChannelizedHotelling Chosen Eye FittedNoise GroupedHead Hotelling HotellingEye
        HotellingLedoitWolf HotellingSVD HumanLike LabelledTrials LearningCurve LearningDifference LimitFitter
        LinearObserver LumpyImages NPW NPWE NearLimit OBSERVERS
        Observer PWMF PathObserver SLNN SLNNHead Scanning SmallSampleWarning centred_crops expected_auc fit_chosen
        learning_curve learning_difference lumpy_log_likelihood_ratio make_observer read_fitted_noise split_aucs
    """,
    "report": """
        Methods Run arm_label load_run methods_section observer_label panel_figure roc_figure template_figure
        tradeoff_figure tradeoff_png write_comparison write_figures write_latex write_report
    """,
    "scanner": """
        FBP KERNELS Kernel MU_WATER_PER_MM Projector Rays SCANNERS ScanGeometry ScannerPreset Spectrum WaterCorrection
        add_noise bowtie_transmission draw_counts effective_energy_kev hu_to_mu i0_for_noise insert_noise mtf
        mtf_frequency mu_to_hu noise_hu photons_per_ray polychromatic_line_integral project_ellipses project_gaussians
        spekpy_spectrum tabulated_spectrum take_logarithm tube_current
    """,
    "simulation": """
        ChunkMaker Scanner Source make_geometry make_preview make_sources simulate_store simulation_key trials_bytes
    """,
    "tasks": """
        BACKGROUNDS LAYOUTS LESIONS LesionPreset LidcNodules PhantomLayout Rod SHAPES SITES SignalRanges Signals
        draw_signals draw_sites draw_sites_in_mask find_layout read_lidc_nodules render signal_site
    """,
    "training": """
        Batch DetectabilityLoss Epoch HybridLoss LOSSES Loss ObserverFeatureLoss PathLoss PathPrice Plan SLNNLoss
        SeveralLosses SignalPromoterLoss Trained TrainedPath TrainingDiverged TrainingFailed Upkeep append_head
        append_loss find_loss finetune load_weights pretrain read_card save_weights start_path_loss train train_path
        TaskTrials
    """,
    "trials": "SPLITS TRUTH Trials crop read_trials select write_trials",
}


def listed(room: str) -> list[str]:
    return sorted((ROOMS[room] if room else FACE).split())


def declared(room: str) -> list[str]:
    """The names that mypy and editors see: those of the stub."""
    tree = ast.parse((ROOT / room.replace(".", "/") / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    return sorted(alias.name for node in imports for alias in node.names)


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_a_room_offers_what_is_listed(room):
    package = importlib.import_module(f"taskct.{room}" if room else "taskct")
    rooms = {name for name in package.__all__ if inspect.ismodule(getattr(package, name))}
    assert sorted(set(package.__all__) - rooms) == listed(room)
    assert declared(room) == listed(room)
    assert set(listed(room)) <= set(dir(package))
    # The attribute of a submodule would stand in the way of a name, as soon as someone imports it.
    assert not set(listed(room)) & {file.stem for file in Path(package.__file__ or "").parent.iterdir()}


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_name_is_there_and_documented(room):
    package = importlib.import_module(f"taskct.{room}" if room else "taskct")
    values = {name: getattr(package, name) for name in listed(room)}
    code = {name: value for name, value in values.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert [name for name, value in code.items() if not (value.__doc__ or "").strip()] == []


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="No taskct attribute simulat"):
        taskct.simulat  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Denoise' from"):
        from taskct.denoisers import Denoise  # noqa: F401


def test_rooms_are_attributes():
    code = "import taskct; print(taskct.metrics.mrmc.RoeMetz.__name__, taskct.tasks.backgrounds.Torso.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["RoeMetz", "Torso"]


def test_a_star_brings_the_names():
    names: dict[str, object] = {}
    exec("from taskct import *", names)
    assert set(listed("")) <= set(names)


@pytest.mark.parametrize("module", ["taskct", *(f"taskct.{room}" for room in ROOMS), "taskct.scanner.presets"])
def test_a_room_alone_loads_nothing_that_computes(module):
    code = f"import sys, {module}; print(*{{'torch', 'scipy', 'numpy', 'pydantic', 'matplotlib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
