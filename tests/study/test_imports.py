"""Images that were denoised elsewhere: in the run folder, as arms, blended, and where a task path starts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import taskct
from taskct.config import Settings, make_settings
from taskct.errors import UserError
from taskct.names import ArmName
from taskct.report.headline import headline
from taskct.report.load import load_run
from taskct.report.page import render
from taskct.study.arms import arms_of, control_of
from taskct.study.evaluate import images_of_trials
from taskct.study.graph import stages_of
from taskct.study.imports import (
    NEEDED,
    TRAIN_TWINS,
    TWINS,
    add_import,
    digest_of_images,
    import_card,
    names_imported,
    read_import,
    shown_trials,
    with_import,
)
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from tiny_study import tiny_settings

CPU = torch.device("cpu")
CARD = {"format": "npy", "software": "a filter", "measured": {}, "notes": []}


def box(images: np.ndarray) -> np.ndarray:
    """A denoiser elsewhere."""
    return gaussian_filter(images, (0, 1, 1))


def shown(run: RunFolder, names: tuple[str, ...] = (*NEEDED, TWINS)) -> dict[str, np.ndarray]:
    return {name: box(trials.noisy) for name in names if (trials := shown_trials(run, name)) is not None}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A study without any training: simulated, a box imported, evaluated."""
    path = tmp_path_factory.mktemp("untrained") / "run"
    run = RunFolder(path, tiny_settings(training={"method": "none"}), device=CPU)
    sweep(run, ["simulate"])
    run = add_import(path, "box", shown(run), CARD)
    sweep(run, ["evaluate"])
    return run


def test_names_are_read_back() -> None:
    for text in ("import=vendor-x", "import=vendor-x alpha=0.5 seed=1", "path import=vendor-x price=0.02", "path"):
        assert str(ArmName.parse(text)) == text
    path = ArmName.parse("path import=vendor-x price=0.02 seed=3")
    assert str(path.control) == "import=vendor-x seed=3"
    assert ArmName.parse("import=vendor-x").label == "vendor-x"
    with pytest.raises(ValueError, match="imported"):
        ArmName("mse", imported="vendor-x")


def test_what_a_study_of_imports_consists_of() -> None:
    names = {"imported": {"names": ["a", "b"]}}
    alone = make_settings({"training": {"method": "none"}}, names)
    assert [arm.name for arm in arms_of(alone)] == [
        "low-dose",
        *(f"import={n}{end}" for n in ("a", "b") for end in ("", " alpha=0.5")),
    ]
    assert control_of(alone) == "low-dose"
    stages = {stage.name: stage for stage in stages_of(alone)}
    assert stages["evaluate import=a"].depends_on == ("simulate", "import=a", "evaluate low-dose")
    assert {"import=a", "import=b"} <= set(stages)
    # Two training seeds have one evaluation of what is not trained.
    two = make_settings({"training": {"seeds": [0, 1]}}, names)
    assert [name for name in (s.name for s in stages_of(two)) if name.startswith("evaluate import=a")] == [
        "evaluate import=a",
        "evaluate import=a alpha=0.5",
    ]
    path = make_settings({"training": {"method": "task-path"}, "imported": {"names": ["a"], "path_of": "a"}})
    assert control_of(path) == "import=a"
    assert not any(arm.pretrained or arm.swept for arm in arms_of(path))


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"imported": {"names": ["A b"]}}, "no name"),
        ({"imported": {"names": ["low-dose"]}}, "other images of a study"),
        ({"imported": {"names": ["a", "a"]}}, "must differ"),
        ({"imported": {"path_of": "a"}}, "one of imported.names"),
        ({"imported": {"names": ["a"], "path_of": "a"}}, "trains no task path"),
        ({"training": {"method": "none"}, "grid": {"training.batch_size": [16, 32]}}, "trains nothing"),
        ({"imported": {"names": ["a"], "blend_alphas": [1.0]}}, "less than 1"),
        ({"imported": {"names": ["nlm"]}, "denoiser": {"classical": ["tv", "nlm"]}}, "another name"),
    ],
)
def test_settings_that_contradict_themselves(tree: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_settings(tree)


def test_a_study_that_trains_nothing_is_measured_and_reported(untrained: RunFolder) -> None:
    loaded = load_run(untrained.path)
    assert not loaded.trained
    assert loaded.standing == ["low-dose", "import=box"]
    assert loaded.choices.chosen_arm == "import=box"
    # A Gaussian of one pixel takes most of the noise.
    assert loaded.arm("import=box").image_quality.rmse_hu.value < loaded.arm("low-dose").image_quality.rmse_hu.value
    said = headline(loaded)
    assert "after MSE" not in said.paragraph
    assert [heading for heading, _ in said.answers] == ["What box does"]
    assert "low-dose images" in said.verdict
    page = render(loaded)
    assert "Nothing was trained." in page
    assert "box" in page


def test_images_are_those_that_were_given(untrained: RunFolder) -> None:
    test, margin = untrained.read("test"), untrained.settings.trials.margin_pixels
    arms = {arm.name: arm for arm in arms_of(untrained.settings)}
    whole = images_of_trials(untrained, arms["import=box"], {"test": test})["test"]
    inner = slice(margin, test.noisy.shape[1] - margin)
    np.testing.assert_array_equal(whole, box(test.noisy)[:, inner, inner])
    run = taskct.open_run(untrained.path)
    np.testing.assert_array_equal(run.arm("import=box").images(), whole)
    half = run.arm("import=box alpha=0.5").images()
    np.testing.assert_allclose(half, (whole + test.noisy_regions) / 2, atol=1e-4)
    with pytest.raises(UserError, match="no network"):
        run.arm("import=box").denoiser()


def test_any_two_arms_can_be_compared(untrained: RunFolder) -> None:
    run = taskct.open_run(untrained.path)
    paired = next(
        row
        for row in run.results.summary.paired
        if (row.arm, row.versus, row.observer) == ("import=box", "low-dose", "ho")
    )
    found = run.difference("import=box", "low-dose", "ho")
    assert found.value == pytest.approx(paired.delta_auc)
    assert (found.ci_low, found.ci_high) == pytest.approx((paired.ci_low, paired.ci_high))
    areas = [run.arm(name).auc["ho"].value for name in ("import=box", "import=box alpha=0.5")]
    assert run.difference("import=box", "import=box alpha=0.5", "ho").value == pytest.approx(areas[0] - areas[1])
    with pytest.raises(UserError, match="no observer"):
        run.difference("import=box", "low-dose", "eye")


def test_the_card_tells_what_was_shown(untrained: RunFolder) -> None:
    card = import_card(untrained, "box")
    assert card["name"] == "box"
    assert card["splits"] == {name: len(read_import(untrained, "box", name)) for name in (*NEEDED, TWINS)}
    assert card["low_dose_sha256"]["test"] == digest_of_images(untrained.read("test").noisy)
    assert card["sha256"]["test"] == digest_of_images(box(untrained.read("test").noisy))
    assert names_imported(untrained.path) == ["box"]


def test_what_is_no_import_is_refused_and_nothing_is_written(untrained: RunFolder) -> None:
    good = shown(untrained)
    for images, words in (
        ({name: one for name, one in good.items() if name != "fresh"}, "fresh is missing"),
        (good | {"test": good["test"][:-1]}, "of shape"),
        (good | {"test": good["test"] * np.nan}, "not finite"),
        (good | {"other": good["test"]}, "none of this study"),
    ):
        with pytest.raises(UserError, match=words):
            add_import(untrained.path, "other", images, CARD)
    with pytest.raises(UserError, match="already"):
        add_import(untrained.path, "box", good, CARD)
    with pytest.raises(UserError, match="no name"):
        with_import(untrained.settings, "../box")
    assert names_imported(untrained.path) == ["box"]
    assert not any((untrained.path / "imported").glob(".*"))


def test_images_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    settings = tiny_settings(training={"method": "none"}, imported={"names": ["box"]})
    run = RunFolder(tmp_path / "run", settings, device=CPU)
    sweep(run, ["simulate"])
    with pytest.raises(UserError, match=r"taskct export .* writes what it is to denoise"):
        sweep(run, ["evaluate"])
    alone = RunFolder(tmp_path / "alone", tiny_settings(training={"method": "none"}), device=CPU)
    sweep(alone, ["simulate"])
    with pytest.raises(UserError, match="nothing to compare"):
        sweep(alone, ["evaluate"])


def test_replaced_images_are_evaluated_anew(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", tiny_settings(training={"method": "none"}), device=CPU)
    sweep(run, ["simulate"])
    run = add_import(run.path, "box", shown(run), CARD)
    sweep(run, ["evaluate"])
    before = load_run(run.path).arm("import=box").image_quality.rmse_hu.value
    unchanged = {name: run.read(name).noisy for name in NEEDED}
    run = add_import(run.path, "box", unchanged, CARD, replace_old=True)
    outcome = sweep(run, ["evaluate"])
    assert "evaluate import=box" in outcome.did
    assert "evaluate low-dose" not in outcome.did
    loaded = load_run(run.path)
    assert loaded.arm("import=box").image_quality.rmse_hu.value > before
    same = [loaded.arm(name).image_quality.rmse_hu.value for name in ("import=box", "low-dose")]
    assert same[0] == same[1]
    assert json.loads((run.path / "imported" / "box" / "card.json").read_text())["splits"].keys() == set(NEEDED)


@pytest.fixture(scope="module")
def after_box(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A study whose task path starts from a box's images."""
    path = tmp_path_factory.mktemp("after") / "run"
    base = tiny_settings(training={"method": "none"})
    run = RunFolder(path, base, device=CPU)
    sweep(run, ["simulate"])
    add_import(path, "box", shown(run, (*NEEDED, TWINS, "train", TRAIN_TWINS)), CARD)
    settings = tiny_settings(
        training={"method": "task-path"},
        imported={"names": ["box"], "path_of": "box"},
        path={"epochs": 1, "prices": [0.01, 0.05], "trained_at": 0.05},
    )
    run = RunFolder(path, settings, device=CPU)
    sweep(run, ["train", "evaluate"])
    return run


def test_a_task_path_starts_from_a_box(after_box: RunFolder) -> None:
    run = taskct.open_run(after_box.path)
    assert run.results.tradeoff.control == "import=box"
    own = run.arm("import=box").images()
    steps = {price: run.arm(f"path import=box price={price}").images() - own for price in (0.01, 0.05)}
    assert np.abs(steps[0.05]).max() > 0.0
    # One correction, of two strengths.
    ratio = float((steps[0.05] * steps[0.01]).sum() / (steps[0.01] ** 2).sum())
    np.testing.assert_allclose(steps[0.05], ratio * steps[0.01], atol=0.02)
    # The strength is what the price pays for on validation trials.
    card = json.loads((after_box.path / "models" / "path_import=box_seed=0.json").read_text())
    control, _, energy = card["squared_error_hu2"]
    assert card["network"] == "elsewhere"
    validation = after_box.read("validation")
    margin = validation.margin
    made = read_import(after_box, "box", "validation")
    inner = slice(margin, made.shape[1] - margin)
    error = made[:, inner, inner] - validation.reference_regions
    assert control == pytest.approx(float(np.mean(error.astype(np.float64) ** 2)), rel=1e-6)
    assert energy > 0.0
    page = render(load_run(after_box.path))
    assert "starts from the images of box" in page


def test_a_path_on_a_box_cannot_run_by_itself(after_box: RunFolder) -> None:
    model = taskct.load_denoiser(after_box.path / "models" / "path_import=box_seed=0.safetensors")
    with pytest.raises(UserError, match="--after"):
        model(np.zeros((1, 24, 24), dtype=np.float32), anyway=True)
    low, made = after_box.read("test").noisy[:3], read_import(after_box, "box", "test")[:3]
    model.denoiser.price = 0.0
    same = model.denoiser.correct(torch.from_numpy(np.array(low)), torch.from_numpy(np.array(made)))
    np.testing.assert_array_equal(same.numpy(), made)


def test_settings_are_those_of_every_study() -> None:
    assert Settings().imported.names == ()
    assert [stage.kind for stage in stages_of(Settings())].count("import") == 0
