"""Every axis of a study trains: losses, heads, layers, start, filters; and a training that goes wrong says so."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from anyway import denoise_path
from taskct.config import Settings, make_settings
from taskct.config.read import named_networks
from taskct.denoisers.denoiser import denoise
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError
from taskct.observers.grouped_head import GroupedHead
from taskct.study import models
from taskct.study.arms import Arm, arms_of
from taskct.study.checks import check_arms, check_network
from taskct.study.evaluate import Evaluator
from taskct.study.groups import group_of
from taskct.study.models import blend_path, channels, denoiser_of_arm, head_statistic, load_head, save_blend
from taskct.study.run_folder import RunFolder
from taskct.study.train import train_arm
from taskct.sweep.pipeline import sweep
from taskct.training import step
from taskct.training.record import TrainingDiverged, TrainingFailed
from taskct.trials.store import read_trials
from taskct.trials.trials import crop
from tiny_study import TINY, tiny_settings
from users_networks import import_networks

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = RunFolder(tmp_path_factory.mktemp("simulated") / "run", tiny_settings(), device=CPU)
    sweep(folder, ["simulate"])
    return folder.path


def run_with(simulated: Path, path: Path, **sections: Any) -> RunFolder:
    """A run folder of the tiny study with other settings of its training, and the trials of `simulated`."""
    trust_network(*named_networks(sections))
    folder = RunFolder(path, make_settings(TINY, sections), device=CPU)
    shutil.copytree(simulated / "trials", folder.trials)
    return folder


def trained(run: RunFolder, name: str) -> Arm:
    """Train what an arm starts from, and the arm."""
    arm = next(arm for arm in arms_of(run.settings) if arm.name == name)
    for one in (arm.start, arm) if arm.trained else (arm,):
        train_arm(run, one)
    return arm


def card_of(run: RunFolder, arm: Arm) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(run.weights(arm.file_stem).with_suffix(".json").read_text())
    return card


@pytest.mark.parametrize("loss", ["observer-feature", "signal-promoter", "detectability"])
def test_a_rival_loss_trains_the_denoiser_and_not_at_lambda_0(simulated: Path, tmp_path: Path, loss: str) -> None:
    run = run_with(simulated, tmp_path / "run", training={**TINY["training"], "loss": loss})
    images = {}
    for name in ("lambda=0", "lambda=0.9"):
        arm = trained(run, name)
        denoiser, card = denoiser_of_arm(run, arm)
        assert card["loss"] == loss
        images[name] = denoise(denoiser, read_trials(run.trials, "test").noisy)
        assert set(load_file(run.weights(arm.file_stem))) == {f"denoiser.{key}" for key in denoiser.state_dict()}
    assert np.isfinite(images["lambda=0.9"]).all()
    assert np.abs(images["lambda=0.9"] - images["lambda=0"]).max() > 0.01


@pytest.mark.parametrize("head", ["eye", "channels"])
@pytest.mark.parametrize("head_training", ["warm", "frozen"])
def test_heads_train_and_come_back(simulated: Path, tmp_path: Path, head: str, head_training: str) -> None:
    run = run_with(
        simulated, tmp_path / "run", training={**TINY["training"], "head": head, "head_training": head_training}
    )
    arm = trained(run, "lambda=0.9")
    found = load_head(run, arm)
    test = read_trials(run.trials, "test")
    regions = np.array(crop(test.noisy, 2))
    statistic = head_statistic(found, regions, group_of(run.settings, test), seed=0)
    assert statistic.shape == (40,)
    assert statistic.std() > 0.0
    if head == "channels":  # the template lies in the span of the channels
        matrix, template = channels(run.settings), found.template.detach().double().numpy().ravel()
        coefficients, *_ = np.linalg.lstsq(matrix, template, rcond=None)
        assert np.allclose(matrix @ coefficients, template, atol=1e-5 * np.abs(template).max())


def test_a_head_for_every_shape(simulated: Path, tmp_path: Path) -> None:
    settings = {"head_per": "shape"}
    signal = {**TINY["signal"], "shape": ["disc", "gaussian"]}
    run = RunFolder(tmp_path / "run", make_settings(TINY, {"training": settings, "signal": signal}), device=CPU)
    sweep(run, ["simulate"])
    arm = trained(run, "lambda=0.9")
    head = load_head(run, arm)
    assert isinstance(head, GroupedHead)
    test = read_trials(run.trials, "test")
    group = group_of(run.settings, test)
    assert set(group) == {0, 1}
    regions = np.array(crop(test.noisy, 2))
    statistic = head_statistic(head, regions, group, seed=0)
    for index, member in enumerate(head.members):
        own = member.test_statistic(regions[group == index], torch.Generator().manual_seed(0))
        assert np.allclose(statistic[group == index], own)


def test_only_the_layers_asked_for_change(simulated: Path, tmp_path: Path) -> None:
    run = run_with(simulated, tmp_path / "run", training={**TINY["training"], "trainable": "last:1"})
    arm = trained(run, "lambda=0.9")
    before, after = (load_file(run.weights(one.file_stem)) for one in (arm.start, arm))
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert changed == {"denoiser.network.layers.2.weight", "denoiser.network.layers.2.bias"}


def test_from_scratch_starts_from_fresh_weights_and_trains_as_long(simulated: Path, tmp_path: Path) -> None:
    run = run_with(simulated, tmp_path / "run", training={**TINY["training"], "start": "scratch"})
    card = card_of(run, trained(run, "lambda=0.9"))
    assert len(card["epochs"]) == run.settings.training.pretrain_epochs + run.settings.training.finetune_epochs
    assert card["start"] == "scratch"


def test_a_filter_is_tuned_on_validation_trials(simulated: Path, tmp_path: Path) -> None:
    run = run_with(simulated, tmp_path / "run", denoiser={**TINY["denoiser"], "classical": ["tv"]})
    card = card_of(run, trained(run, "tv"))
    validation = read_trials(run.trials, "validation")
    noisy_mse = float(np.mean(np.square(crop(validation.noisy, 2) - crop(validation.reference, 2), dtype=np.float64)))
    assert card["filter"] == "tv"
    assert 0.0 < card["mse_validation_hu2"] < noisy_mse


def test_a_training_goes_on_from_its_state(simulated: Path, tmp_path: Path) -> None:
    changed = {**TINY["training"], "pretrain_epochs": 3}
    whole, broken = (run_with(simulated, tmp_path / name, training=changed) for name in ("whole", "broken"))
    mse = next(arm for arm in arms_of(whole.settings) if arm.pretrained)
    train_arm(whole, mse)

    class Stopped(BaseException):
        pass

    def stop(done: int, total: int, detail: str) -> None:
        if done > total // 2:
            raise Stopped

    with pytest.raises(Stopped):
        train_arm(broken, mse, progress=stop)
    assert broken.state(mse.file_stem).is_file()
    train_arm(broken, mse)
    # It stays until the stage is on record, and a training that begins again from it does nothing anew.
    assert broken.state(mse.file_stem).is_file()
    seen: list[int] = []
    train_arm(broken, mse, progress=lambda done, total, detail: seen.append(done))
    assert seen == []
    files = [run.weights(mse.file_stem).read_bytes() for run in (whole, broken)]
    assert files[0] == files[1]
    logs = [(run.path / "logs" / f"{mse.file_stem}.jsonl").read_text() for run in (whole, broken)]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == 3


def test_a_training_that_diverges_keeps_its_last_good_weights(simulated: Path, tmp_path: Path) -> None:
    changed = {**TINY["training"], "learning_rate": 1.0, "pretrain_epochs": 60}
    network = {"network": "exploding.Network", "arguments": {}}
    source = tmp_path / "exploding.py"
    source.write_text(
        "import torch\n"
        "class Network(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.gain = torch.nn.Parameter(torch.ones(()))\n"
        "        self.calls = 0\n"
        "    def forward(self, image):\n"
        "        self.calls += self.training\n"
        "        return image * self.gain * (float('nan') if self.calls > 4 else 1.0)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        run = run_with(simulated, tmp_path / "run", training=changed, denoiser=network)
        mse = next(arm for arm in arms_of(run.settings) if arm.pretrained)
        with pytest.raises(TrainingDiverged, match=r"epoch 2, step 2 of 3; lower .*last-good") as caught:
            train_arm(run, mse)
    assert "\n" not in str(caught.value)
    assert not run.weights(mse.file_stem).exists()
    assert run.weights(mse.file_stem + ".last-good").is_file()
    assert not run.state(mse.file_stem).exists()


def test_a_collapsed_denoiser_fails_its_arm(simulated: Path, tmp_path: Path) -> None:
    (tmp_path / "collapsing.py").write_text(
        "import torch\n"
        "class Network(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.level = torch.nn.Parameter(torch.zeros(()))\n"
        "    def forward(self, image):\n"
        "        return 0.0 * image + self.level\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        run = run_with(simulated, tmp_path / "run", denoiser={"network": "collapsing.Network", "arguments": {}})
        mse = next(arm for arm in arms_of(run.settings) if arm.pretrained)
        with pytest.raises(TrainingFailed, match="collapsed, its image is the same for every trial"):
            train_arm(run, mse)
    assert not run.weights(mse.file_stem).exists()


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's networks."""
    return import_networks(tmp_path, monkeypatch)


def test_a_network_of_some_sizes_is_padded_everywhere_alike(simulated: Path, tmp_path: Path, networks: str) -> None:
    """Regions of 20 pixels for a network that takes multiples of 8: in training, evaluation, blends and `denoise`."""
    run = run_with(simulated, tmp_path / "run", denoiser={"network": f"{networks}.Halving", "arguments": {}})
    for arm in (trained(run, "lambda=0"), trained(run, "lambda=0.9")):
        assert card_of(run, arm)["size_multiple"] == 8
    save_blend(run, arm)
    test = read_trials(run.trials, "test").noisy
    evaluated = {name: Evaluator(run).images(one)["test"] for name, one in arms_by_name(run, "lambda=0", "lambda=0.9")}
    np.save(tmp_path / "test.npy", test)
    for alpha in (0.0, 0.25, 1.0):
        expected = (1 - alpha) * evaluated["lambda=0"] + alpha * evaluated["lambda=0.9"]
        for number, file in enumerate((run.weights(arm.file_stem), blend_path(run, arm))):
            out = denoise_path(file, tmp_path / "test.npy", tmp_path / f"{alpha}{number}.npy", alpha=alpha)
            np.testing.assert_allclose(crop(np.load(out), 2), expected, rtol=0, atol=1e-3)
    slices = np.random.default_rng(0).normal(40.0, 30.0, (2, 33, 47)).astype(np.float32)
    np.save(tmp_path / "odd.npy", slices)
    whole, tiled = (
        np.load(denoise_path(run.weights(arm.file_stem), tmp_path / "odd.npy", tmp_path / f"odd{tile}.npy", tile=tile))
        for tile in (None, 16)
    )
    assert whole.shape == slices.shape
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-3)
    # A model from before there was padding: its card says nothing of it.
    card = card_of(run, arm)
    del card["size_multiple"]
    run.weights(arm.file_stem).with_suffix(".json").write_text(json.dumps(card))
    again = np.load(denoise_path(run.weights(arm.file_stem), tmp_path / "odd.npy", tmp_path / "old.npy"))
    np.testing.assert_array_equal(again, whole)


def arms_by_name(run: RunFolder, *names: str) -> list[tuple[str, Arm]]:
    return [(arm.name, arm) for arm in arms_of(run.settings) if arm.name in names]


def test_an_old_weight_norm_is_trained_saved_and_blended(simulated: Path, tmp_path: Path, networks: str) -> None:
    """Its weight is no parameter but computed before every pass; what is stored is what it is computed from."""
    run = run_with(simulated, tmp_path / "run", denoiser={"network": f"{networks}.Normed", "arguments": {}})
    check_network(run.settings)
    arms = [trained(run, name) for name in ("lambda=0", "lambda=0.9")]
    keys = load_file(run.weights(arms[1].file_stem))
    assert {"denoiser.network.first.weight_g", "denoiser.network.first.weight_v"} < set(keys)
    save_blend(run, arms[1])
    np.save(tmp_path / "in.npy", read_trials(run.trials, "test").noisy)
    out = [
        np.load(denoise_path(file, tmp_path / "in.npy", tmp_path / f"{number}.npy", alpha=alpha))
        for number, (file, alpha) in enumerate(
            [(run.weights(arm.file_stem), 1.0) for arm in arms] + [(blend_path(run, arms[1]), 0.5)]
        )
    ]
    np.testing.assert_allclose(out[2], 0.5 * out[0] + 0.5 * out[1], rtol=0, atol=1e-3)
    assert np.abs(out[1] - out[0]).max() > 1e-3
    assert np.isfinite(out[2]).all()


@pytest.mark.parametrize(
    ("network", "dtype", "expected"),
    [
        ("Plain", "auto", "float32"),
        ("Plain", "bfloat16", "bfloat16"),
        ("Halving", "auto", "bfloat16"),
        ("cnn", "auto", "bfloat16"),
        ("cnn of the image", "auto", "float32"),
    ],
)
def test_an_image_that_bfloat16_would_round_is_made_in_float32(
    simulated: Path,
    tmp_path: Path,
    networks: str,
    monkeypatch: pytest.MonkeyPatch,
    network: str,
    dtype: str,
    expected: str,
) -> None:
    """A network whose last layer makes it, where the machine computes in bfloat16; not one that takes the noise off."""
    monkeypatch.setattr(models, "resolve_dtype", lambda dtype, device: "bfloat16" if dtype == "auto" else dtype)
    own: dict[str, Any] = {"cnn": {}, "cnn of the image": {"residual": False}}
    denoiser = {"network": "cnn" if network in own else f"{networks}.{network}", "arguments": own.get(network, {})}
    run = run_with(
        simulated,
        tmp_path / "run",
        training={**TINY["training"], "dtype": dtype, "pretrain_epochs": 1},
        denoiser=denoiser,
    )
    notes = [line for line in check_network(run.settings).notes if "makes its image in bfloat16" in line]
    assert len(notes) == (network == "Plain" and dtype == "bfloat16")
    arm = next(arm for arm in arms_of(run.settings) if arm.pretrained)
    seen: list[bool] = []
    forward = step.Step.forward

    def spy(self: step.Step, *images: torch.Tensor, **more: Any) -> Any:
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(self, *images, **more)

    monkeypatch.setattr(step.Step, "forward", spy)
    train_arm(run, arm)
    assert set(seen) == {expected == "bfloat16"}
    assert card_of(run, arm)["dtype"] == expected


def test_networks_are_tried_before_anything_is_simulated(networks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(name: str, **training: Any) -> Settings:
        trust_network(f"{networks}.{name}")
        return tiny_settings(denoiser={"network": f"{networks}.{name}", "arguments": {}}, training=training)

    (sizes,) = check_arms(of("Halving")).notes
    assert "multiples of 8 pixels" in sizes
    assert [line.split(": ")[0].split("' ")[1] for line in check_arms(of("Standardised")).notes] == [
        "does not respond to amplitude",
        "does not respond to an offset",
        "couples far pixels",
    ]
    assert check_arms(tiny_settings()).notes == ()
    for name, message in (
        ("Frozen", "no gradient of its output reaches the parameters that are to be trained"),
        ("Counting", "keeps extra state of type dict"),
        ("InPlace", "changes in place what its own gradient needs"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            check_arms(of(name))
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"\(2, 1, 18, 18\) into \(2, 1, 16, 16\) in training mode"):
        check_arms(of("Sampled", patch_pixels=18))
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(UserError, match=r"pip install 'taskct\[tensorboard\]'"):
        check_arms(tiny_settings(training={"log_to": "tensorboard"}))
