"""MONAI bundles give the images of taskct: their TorchScript, and MONAI's run of a volume by their configuration."""

import contextlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from command_line import Call, call, refused
from path_files import CARD, save_task_path
from taskct.apply.denoise import load_denoiser
from taskct.apply.denoise_files import denoise_path
from taskct.apply.export_bundle import export_bundle
from taskct.denoisers.denoiser import Denoiser, make_network
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError
from taskct.training.checkpoints import save_weights
from users_networks import import_networks

__all__ = ["call", "refused"]  # fixtures

pytest.importorskip("torch", minversion="2.9")  # as the export of graphs asks for

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

FILES = [
    "LICENSE",
    "configs/inference.json",
    "configs/metadata.json",
    "docs/README.md",
    "models/model.pt",
    "models/model.ts",
]


def save(file: Path, network: str, arguments: dict[str, Any], **card: Any) -> Path:
    torch.manual_seed(0)
    denoiser = Denoiser(make_network(network, arguments), offset_hu=40.0, scale_hu=20.0)
    save_weights(
        file, {"denoiser": denoiser}, {**CARD, "stage": "finetune", "network": network, "arguments": arguments, **card}
    )
    return file


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A task path and its bundle; nobody may change them."""
    folder = tmp_path_factory.mktemp("path")
    model = save_task_path(folder / "path_seed=0.safetensors")
    return model, export_bundle(model, folder / "new" / "dial").path


def script(bundle: Path) -> Any:
    return torch.jit.load(str(bundle / "models" / "model.ts"))


def images(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(40.0, 30.0, shape).astype(np.float32))


def names_in(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


@torch.no_grad()
def test_the_script_gives_the_images_of_a_path_at_any_price(path: tuple[Path, Path]) -> None:
    model, bundle = path
    module, own = script(bundle), load_denoiser(model)
    assert float(module.price) == pytest.approx(0.02)
    for shape in ((1, 40, 40), (2, 65, 64), (3, 47, 91)):
        image = images(shape)
        for price in (0.0, 0.02, 0.2):
            module.price.fill_(price)
            expected = own(image, price=price)
            torch.testing.assert_close(module(image[:, None])[:, 0], expected, atol=1e-2, rtol=0)
    module.price.fill_(0.3)
    assert bool(module(images((1, 1, 40, 40))).isnan().all())


def test_the_script_names_no_device(path: tuple[Path, Path]) -> None:
    """So that it runs where it is put."""
    assert "Device = prim::Constant" not in str(script(path[1]).inlined_graph)


def test_what_a_bundle_holds(path: tuple[Path, Path]) -> None:
    _, bundle = path
    assert names_in(bundle) == FILES
    held = json.loads((bundle / "configs" / "metadata.json").read_text())
    # As the specification of MONAI bundles asks for.
    keys = {"version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task"}
    assert (keys | {"description", "authors", "copyright", "network_data_format", "changelog", "schema"}) <= held.keys()
    for part in ("inputs", "outputs"):
        (tensor,) = held["network_data_format"][part].values()
        assert (tensor["format"], tensor["modality"], tensor["num_channels"]) == ("hounsfield", "CT", 1)
        assert (tensor["dtype"], tensor["spatial_shape"]) == ("float32", ["*", "*"])
    assert json.loads((bundle / "configs" / "inference.json").read_text())["price"] == 0.02
    weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert weights.keys() == script(bundle).state_dict().keys()
    assert "No licence is stated" in (bundle / "LICENSE").read_text()
    machine = (str(bundle.parent.parent), "site-packages", str(Path(__file__).parents[2]))
    for file in FILES:
        assert not any(word.encode() in (bundle / file).read_bytes() for word in machine), file
    with zipfile.ZipFile(bundle / "models" / "model.ts") as archive:
        assert not any(name.endswith("debug_pkl") for name in archive.namelist())


@pytest.mark.filterwarnings("ignore")  # MONAI's own and those of what it imports
def test_monai_runs_it_on_a_volume(path: tuple[Path, Path], tmp_path: Path) -> None:
    """The configuration's own parts, without the engine that calls them one after the other."""
    bundles = pytest.importorskip("monai.bundle")
    import nibabel

    model, bundle = path
    (tmp_path / "data").mkdir()
    affine = np.array([[0.7, 0, 0, -10], [0, 0.7, 0, -12], [0, 0, 2.5, 3], [0, 0, 0, 1.0]])
    hu = images((37, 44, 3)).numpy()
    nibabel.save(nibabel.Nifti1Image(hu, affine), tmp_path / "data" / "ct.nii.gz")
    parser = bundles.ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.update(
        {
            "bundle_root": str(bundle),
            "dataset_dir": str(tmp_path / "data"),
            "output_dir": str(tmp_path / "out"),
            "price": 0.05,
        }
    )
    parser.parse()
    parser.get_parsed_content("initialize")
    network, inferer = parser.get_parsed_content("network"), parser.get_parsed_content("inferer")
    (item,) = parser.get_parsed_content("dataset")
    with torch.no_grad():
        item["pred"] = inferer(item["image"][None], network)[0]
    parser.get_parsed_content("postprocessing")(item)
    found = nibabel.load(tmp_path / "out" / "ct_denoised.nii.gz")
    denoise_path(model, tmp_path / "data" / "ct.nii.gz", tmp_path / "own.nii.gz", price=0.05)
    own = nibabel.load(tmp_path / "own.nii.gz")
    np.testing.assert_allclose(found.get_fdata(), own.get_fdata(), atol=1e-2, rtol=0)
    np.testing.assert_allclose(found.affine, own.affine, atol=1e-6)


@torch.no_grad()
def test_monai_loads_it(path: tuple[Path, Path]) -> None:
    bundles = pytest.importorskip("monai.bundle")
    model, bundle = path
    module, metadata, files = bundles.load(
        bundle.name, bundle_dir=str(bundle.parent), load_ts_module=True, device="cpu", config_files=("inference.json",)
    )
    assert metadata["name"] == "dial"
    assert json.loads(files["inference.json"])["price"] == 0.02
    image = images((2, 33, 40))
    torch.testing.assert_close(module(image[:, None])[:, 0], load_denoiser(model)(image), atol=1e-2, rtol=0)


@torch.no_grad()
def test_a_bundle_as_one_file(tmp_path: Path) -> None:
    model = save(tmp_path / "m.safetensors", "context", {"n_layers": 2, "n_channels": 4}, licence="CC BY 4.0")
    written = export_bundle(model, tmp_path / "plain.zip")
    assert written.dial is None
    with zipfile.ZipFile(written.path) as archive:
        archive.extractall(tmp_path / "there")
    bundle = tmp_path / "there" / "plain"
    assert names_in(bundle) == FILES
    assert (bundle / "LICENSE").read_text() == "CC BY 4.0\n"
    image = images((2, 47, 50))
    torch.testing.assert_close(script(bundle)(image[:, None])[:, 0], load_denoiser(model)(image), atol=1e-2, rtol=0)


@torch.no_grad()
def test_networks_that_depend_on_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = import_networks(tmp_path, monkeypatch)
    for network in ("Deciding", "OneSize", "Looping"):
        trust_network(f"{name}.{network}")
    deciding = save(tmp_path / "deciding.safetensors", f"{name}.Deciding", {})
    written = export_bundle(deciding, tmp_path / "deciding")
    assert written.size_multiple == 2
    module, image = script(written.path), images((2, 40, 66))
    torch.testing.assert_close(module(image[:, None])[:, 0], load_denoiser(deciding)(image), atol=1e-2, rtol=0)
    with contextlib.suppress(RuntimeError):  # shapes that do not go together
        assert bool(module(images((1, 1, 41, 40))).isnan().all())
    assert "Device = prim::Constant" not in str(module.inlined_graph)  # it runs where it is put
    only = export_bundle(save(tmp_path / "one.safetensors", f"{name}.OneSize", {}), tmp_path / "one")
    assert only.side == 24
    held = json.loads((tmp_path / "one" / "configs" / "metadata.json").read_text())
    assert held["network_data_format"]["inputs"]["image"]["spatial_shape"] == [24, 24]
    with pytest.raises(UserError, match="cannot be exported as a MONAI bundle: in torch's words"):
        export_bundle(save(tmp_path / "loop.safetensors", f"{name}.Looping", {}), tmp_path / "loop")
    assert not (tmp_path / "loop").exists()


def test_the_command_line(call: Call, refused: Callable[..., str], tmp_path: Path, path: tuple[Path, Path]) -> None:
    model, bundle = path
    plain = save(tmp_path / "m.safetensors", "cnn", {"n_layers": 2, "n_channels": 2})
    code, out, _ = call("export-model", plain, tmp_path / "b", "--bundle")
    assert (code, out) == (0, f"Written: {tmp_path / 'b'}; inputs: image, of any size\n")
    assert "exists: choose another output" in refused("export-model", model, bundle, "--bundle")
    assert "is called by letters" in refused("export-model", model, tmp_path / "a b", "--bundle")
    assert "ends in .onnx" in refused("export-model", model, tmp_path / "c")
