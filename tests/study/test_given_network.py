"""A network that was trained outside taskct: evaluated as it is, and the start of fine-tuning."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from command_line import call, refused
from taskct import load_denoiser
from taskct.config import make_settings, without_effect
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError
from taskct.study.arms import arms_of
from taskct.study.checks import check_arms
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from tiny_study import TINY, run_study, tiny_settings, tiny_yaml
from users_networks import import_networks

__all__ = ["call", "refused"]  # fixtures

LOW, HIGH = -160.0, 240.0
"""The window that its training mapped to [0, 1], HU."""


def trained_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path, nn.Module]:
    """A network of a user's module, trained in a loop of plain torch on flat images in [0, 1], saved as many do."""
    module = import_networks(folder, monkeypatch)
    network: nn.Module = importlib.import_module(module).Plain()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        clean = torch.rand((8, 1, 1, 1), generator=generator).expand(8, 1, 16, 16)
        loss = nn.functional.mse_loss(network(clean + 0.05 * torch.randn(clean.shape, generator=generator)), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    file = folder / "theirs.pth"
    torch.save({"epoch": 60, "state_dict": nn.DataParallel(network).state_dict()}, file)
    return f"{module}.Plain", file, network.eval()


def settings_of(name: str, file: Path, **training: object) -> dict[str, object]:
    scaling = {"offset_hu": LOW, "scale_hu": HIGH - LOW}
    return {"denoiser": {"network": name, "weights": str(file), **scaling}, "training": training}


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path, nn.Module]:
    torch.manual_seed(0)
    name, file, network = trained_elsewhere(tmp_path, monkeypatch)
    trust_network(name)
    return name, file, network


def test_it_is_evaluated_as_it_is_and_fine_tuned(tmp_path: Path, theirs: tuple[str, Path, nn.Module]) -> None:
    name, file, network = theirs
    own = settings_of(name, file, method="both", other_head_lambda=None)
    path = {"prices": [0.05], "trained_at": 0.05, "epochs": 1, "n_channels": 4}
    settings = make_settings(TINY, own, {"path": path})
    assert settings.training.start == "weights"
    run = run_study(tmp_path / "run", settings, report=True)

    loaded = load_denoiser(run.weights("mse_seed=0"))
    image = run.read("test").noisy[:4]
    with torch.no_grad():
        theirs_hu = (
            network((torch.from_numpy(np.array(image))[:, None] - LOW) / (HIGH - LOW))[:, 0] * (HIGH - LOW) + LOW
        )
    np.testing.assert_allclose(loaded(image), theirs_hu.numpy(), atol=1e-3, rtol=0)
    kept = np.load(run.evaluated("mse_seed=0").with_suffix(".npz"))
    assert len(kept.files) > 0

    card = json.loads(run.card("mse_seed=0").read_text())
    assert card["stage"] == "pretrain"
    assert card["epochs"] == []
    assert (card["weights_from"]["file"], card["weights_from"]["found"]) == ("theirs.pth", "state_dict, module.")
    assert len(card["weights_from"]["sha256"]) == 64
    assert (card["offset_hu"], card["scale_hu"]) == (LOW, HIGH - LOW)
    tuned = json.loads(run.card("lambda=0.9_seed=0").read_text())
    assert tuned["start"] == "weights"
    # What is tuned starts from it: one epoch moves it, but not far.
    before, after = (load_denoiser(run.weights(f"{arm}_seed=0"))(image) for arm in ("mse", "lambda=0"))
    assert 0.0 < np.abs(np.asarray(before) - np.asarray(after)).mean() < np.asarray(before).std()
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "What theirs.pth (as it came) does" in page
    assert "AUC, theirs.pth (as it came)" in page
    assert "the arm theirs.pth (as it came) is that network" in page
    assert "What MSE denoising does" not in page
    assert ">MSE<" not in page
    assert '"label": "MSE"' not in page


def test_it_is_evaluated_where_nothing_is_trained(tmp_path: Path, theirs: tuple[str, Path, nn.Module]) -> None:
    name, file, network = theirs
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    own = settings_of(name, file, method="none", seeds=[0])
    settings = make_settings(TINY, own, {"denoiser": {"classical": ["bilateral"]}})
    assert not any("frozen" in note for note in check_arms(settings).notes)
    run = run_study(tmp_path / "run", settings, report=True)
    assert {stage.name for stage in run.graph.values() if stage.kind == "evaluate"} == {
        "evaluate low-dose",
        "evaluate bilateral seed=0",
        "evaluate mse seed=0",
    }
    choices = json.loads((run.path / "choices.json").read_text())
    assert choices["chosen_arm"] == "mse"
    card = json.loads(run.card("mse_seed=0").read_text())
    assert (card["learned_on"], card["pixel_mm"], card["training"]) == (None, None, None)
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Nothing was trained." in page
    assert "theirs.pth" in page


def test_other_weights_are_another_stage(tmp_path: Path, theirs: tuple[str, Path, nn.Module]) -> None:
    name, file, network = theirs
    run = run_study(tmp_path / "run", make_settings(TINY, settings_of(name, file)))
    first, second = run.graph["pretrain seed=0"], run.graph["finetune lambda=0 seed=0"]
    assert run.has(first)
    assert run.has(second)
    with torch.no_grad():
        next(network.parameters()).mul_(1.01)
    torch.save(network.state_dict(), file)
    again = RunFolder(run.path, run.settings, device=torch.device("cpu"))
    assert not again.has(first)
    file.unlink()  # on a machine that does not have it: as on record
    assert again.has(first)


def test_what_is_missing_is_said_before_anything_is_simulated(
    tmp_path: Path, theirs: tuple[str, Path, nn.Module]
) -> None:
    name, file, _ = theirs
    unscaled = make_settings(TINY, {"denoiser": {"network": name, "weights": str(file)}})
    with pytest.raises(
        UserError, match=r"say how the network sees HU, as \(HU - denoiser.offset_hu\)/denoiser.scale_hu"
    ):
        check_arms(unscaled)
    with pytest.raises(UserError, match=r"does not fit denoiser.network 'cnn': it lacks"):
        check_arms(make_settings(TINY, settings_of("cnn", file)))
    with pytest.raises(UserError, match="no file"):
        check_arms(make_settings(TINY, settings_of(name, file.with_name("none.pt"))))
    with pytest.raises(UserError, match=r"denoiser.offset_hu and denoiser.scale_hu go together"):
        tiny_settings(denoiser={"offset_hu": 0.0})
    with pytest.raises(UserError, match=r"training.start=weights fine-tunes what denoiser.weights gives"):
        tiny_settings(training={"start": "weights"})
    assert check_arms(make_settings(TINY, settings_of(name, file))).notes == ()
    wrong = make_settings(TINY, settings_of(name, file), {"denoiser": {"offset_hu": 3000.0, "scale_hu": 1.0}})
    assert any("are denoiser.offset_hu and denoiser.scale_hu those" in note for note in check_arms(wrong).notes)


def test_pretraining_is_said_to_be_ignored(theirs: tuple[str, Path, nn.Module]) -> None:
    name, file, _ = theirs
    given = make_settings(TINY, settings_of(name, file, pretrain_epochs=7))
    assert "training.pretrain_epochs has no effect with denoiser.weights: nothing is pretrained here" in list(
        without_effect(given)
    )
    scratch = make_settings(TINY, settings_of(name, file, pretrain_epochs=7, start="scratch"))
    assert scratch.training.start == "scratch"
    assert not any("pretrain_epochs" in line for line in without_effect(scratch))


def test_a_grid_names_files_and_no_folders(theirs: tuple[str, Path, nn.Module]) -> None:
    name, file, _ = theirs
    study = make_settings(TINY, settings_of(name, file), {"grid": {"denoiser.weights": [str(file), "/elsewhere/b.pt"]}})
    names = {arm.name for arm in arms_of(study) if arm.pretrained}
    assert names == {"mse", "mse weights=b.pt"}


def test_a_scaling_is_a_pretraining_s_too(tmp_path: Path) -> None:
    run = RunFolder(
        tmp_path / "run", tiny_settings(denoiser={"offset_hu": 10.0, "scale_hu": 30.0}), device=torch.device("cpu")
    )
    sweep(run, ["simulate"])
    sweep(run, ["train"]).check()
    denoiser = load_denoiser(run.weights("mse_seed=0")).denoiser
    assert (float(denoiser.offset_hu), float(denoiser.scale_hu)) == (10.0, 30.0)


def test_the_command_line(refused: Callable[..., str], tmp_path: Path, theirs: tuple[str, Path, nn.Module]) -> None:
    name, file, _ = theirs
    file.write_bytes(file.read_bytes()[:100])
    study = tiny_yaml(tmp_path / "study.yaml", denoiser={"network": name, "arguments": {}})
    sets = [f"denoiser.weights={file}", "denoiser.offset_hu=0", "denoiser.scale_hu=1"]
    line = refused("run", study, "--out", tmp_path / "run", *(word for one in sets for word in ("--set", one)))
    assert "cannot be read as the weights of a network" in line
    assert not (tmp_path / "run").exists()
