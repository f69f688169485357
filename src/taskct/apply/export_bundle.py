"""A trained denoiser as a MONAI bundle, for programs that know those: HU in, HU out, its dial a number in it."""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from taskct.apply.denoise import LoadedDenoiser, load_denoiser
from taskct.apply.export import Exported
from taskct.apply.export_graph import (
    Graph,
    UnlikeError,
    apart_text,
    captured,
    check_new,
    for_sizes,
    graph_of,
    made_with,
    other_examples,
)
from taskct.errors import UserError
from taskct.files import whole_file, whole_folder

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
"""What MONAI holds `metadata.json` against, by `monai.bundle verify_metadata`."""

LOWEST = {"monai": "1.3.0", "pytorch-ignite": "0.4.11", "nibabel": "5.1.0"}
"""Releases that are named where a package is not installed here."""

NOT_STATED = "not stated"

NO_LICENCE = "No licence is stated for these weights: ask whoever trained them.\n"


class _Channels(nn.Module):
    """A graph on images with a channel, `(n, 1, height, width)`, as MONAI has them; its dial is a buffer of its name.

    The images of sides that are no multiples of so many pixels are NaN.
    """

    def __init__(self, graph: Graph, multiple: int, value: float | None) -> None:
        super().__init__()
        self.graph, self.multiple = graph, multiple
        if graph.dial is not None:
            self.register_buffer(graph.dial, torch.tensor(float(value or 0.0)))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        dials = [] if self.graph.dial is None else [getattr(self, self.graph.dial)]
        denoised: torch.Tensor = self.graph(image[:, 0].float(), *dials)[:, None]
        if self.multiple > 1:
            height, width = image.shape[-2:]
            # Like the images, since a trace keeps the device of whatever names one.
            remainder = torch.zeros_like(denoised) + (height % self.multiple + width % self.multiple)
            denoised = torch.where(remainder == 0, denoised, torch.full_like(denoised, torch.nan))
        return denoised


def export_bundle(model: Path, target: Path) -> Exported:
    """Write a trained denoiser, a blend or a task path as a MONAI bundle.

    It holds `models/model.ts` (TorchScript, so that neither taskct nor the network's code is needed), the same weights
    as `models/model.pt`, `configs/metadata.json`, `configs/inference.json` for volumes, `docs/README.md` and `LICENSE`.
    The network takes images in HU, `(n, 1, height, width)`, and returns them, float32. The dial of a blend or a task
    path is a number in `inference.json`, `alpha` or `price`, and a buffer of the module.

    The TorchScript is read back and compared with the network, on images of even, odd and mixed sides other than those
    it was made with.

    Parameters
    ----------
    model
        Weights, `RUN/models/ARM.safetensors`, with their card.
    target
        A new or empty folder, or a new file that ends in .zip.

    Raises
    ------
    UserError
        If the model cannot be loaded, the target exists, or the network cannot be written as TorchScript whose images
        are the network's to 0.01 HU. Nothing is written then.
    """
    packed = target.suffix.lower() == ".zip"
    if packed or not target.is_dir() or any(target.iterdir()):
        check_new(model, target)
    name = target.stem if packed else target.name
    if not re.fullmatch(r"\w[\w.-]*", name, flags=re.ASCII):
        raise UserError(f"{target}: a bundle is called by letters, digits, points, hyphens and _; choose another name")
    loaded = load_denoiser(model)
    graph = graph_of(loaded)
    value = loaded.price if loaded.alpha is None else loaded.alpha
    (content, weights), multiple, side = for_sizes(
        graph,
        lambda multiple, side: _script(graph, multiple, side, value),
        f"{model} cannot be exported as a MONAI bundle",
    )
    found = Exported(target, graph.dial, multiple, side)
    configs = {
        "metadata.json": _json(_metadata(name, loaded, found)),
        "inference.json": _json(_inference(found, value)),
    }
    licence = loaded.card.get("licence")
    files = {
        **{f"configs/{file}": data for file, data in configs.items()},
        "models/model.ts": _with_files(content, configs),
        "models/model.pt": weights,
        "docs/README.md": _readme(name, loaded, found, value).encode(),
        "LICENSE": (f"{licence}\n" if isinstance(licence, str) and licence else NO_LICENCE).encode(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        with whole_file(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, data in files.items():
                archive.writestr(f"{name}/{file}", data)
        return found
    with whole_folder(target) as folder:
        for file, data in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
    return found


def _script(graph: Graph, multiple: int, side: int | None, value: float | None) -> tuple[bytes, bytes]:
    """A TorchScript file whose images are the network's, for some sizes, and its weights; else an `UnlikeError`."""
    captured(graph, multiple, side)  # a trace keeps one branch of what decides by values; this refuses it
    image = made_with(graph, multiple, side)[0][:, None]
    traced = torch.jit.trace(_Channels(graph, multiple, value).eval(), image, check_trace=False)  # type: ignore[no-untyped-call]  # untyped in torch
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer)
    content = _without_paths(buffer.getvalue())
    module = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]  # untyped in torch
    weights = io.BytesIO()
    torch.save(dict(module.state_dict()), weights)

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        if graph.dial is not None:
            getattr(module, graph.dial).copy_(inputs[1])
        denoised: torch.Tensor = module(inputs[0][:, None])[:, 0]
        return denoised

    if (problem := apart_text(graph, run, other_examples(graph, multiple, side))) is not None:
        raise UnlikeError(problem)
    return content, weights.getvalue()


def _without_paths(content: bytes) -> bytes:
    """A TorchScript file without its debugging records, which name folders of this machine; torch needs none."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            if not member.filename.endswith(".debug_pkl"):
                new.writestr(member, old.read(member))
    return buffer.getvalue()


def _with_files(script: bytes, files: Mapping[str, bytes]) -> bytes:
    """A TorchScript file with files inside, where `monai.bundle.load` looks for them."""
    buffer = io.BytesIO(script)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        root = archive.namelist()[0].partition("/")[0]
        for file, data in files.items():
            archive.writestr(f"{root}/extra/{file}", data)
    return buffer.getvalue()


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=4, ensure_ascii=False) + "\n").encode()


def _release(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return LOWEST[package]


def _metadata(name: str, loaded: LoadedDenoiser, found: Exported) -> dict[str, Any]:
    """`metadata.json`, with the keys of MONAI's schema."""
    from taskct import __version__  # the root of the package imports the rooms

    card = loaded.card
    image: dict[str, Any] = {
        "type": "image",
        "format": "hounsfield",
        "modality": "CT",
        "num_channels": 1,
        "spatial_shape": _shape(found),
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "image"},
    }
    return {
        "schema": SCHEMA,
        "version": "0.1.0",
        "changelog": {"0.1.0": f"exported by taskct {__version__}"},
        "monai_version": _release("monai"),
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {one: _release(one) for one in ("nibabel", "pytorch-ignite")},
        "supported_apps": {},
        "name": name,
        "task": "Denoising of low-dose CT images",
        "description": f"{_what(card)}, of taskct. Images go in and come out in HU, slice by slice.",
        "authors": str(card.get("authors") or NOT_STATED),
        "copyright": str(card.get("licence") or NOT_STATED),
        "data_source": NOT_STATED,
        "data_type": "NIfTI",
        "image_classes": "single channel data, HU",
        "label_classes": "none",
        "pred_classes": "single channel data, HU",
        "eval_metrics": {},
        "intended_use": str(card.get("intended_use") or "research; not to be used for diagnostic purposes"),
        "references": [],
        "network_data_format": {
            "inputs": {"image": image},
            "outputs": {"pred": {**image, "channel_def": {"0": "denoised image"}}},
        },
    }


def _shape(found: Exported) -> list[str | int]:
    if found.side is not None:
        return [found.side, found.side]
    return ["*", "*"] if found.size_multiple == 1 else [f"{found.size_multiple}*n", f"{found.size_multiple}*m"]


def _what(card: Mapping[str, Any]) -> str:
    kind = {"blend": "a blend of two denoisers", "path": "a denoiser with a dial in RMSE"}
    return f"{kind.get(str(card.get('stage')), 'a denoiser')} ({card['network']})".capitalize()


def _inference(found: Exported, value: float | None) -> dict[str, Any]:
    """`inference.json`: NIfTI volumes of a folder, each axial slice as it is, written beside their names."""
    key, root = {"keys": "image"}, "$@bundle_root + "
    # taskct's images have rows to the patient's back and columns to the left.
    preprocessing = [
        {"_target_": "LoadImaged", **key},
        {"_target_": "EnsureChannelFirstd", **key},
        {"_target_": "Orientationd", **key, "axcodes": "LPS"},
        {"_target_": "Transposed", **key, "indices": [0, 2, 1, 3]},
        {"_target_": "EnsureTyped", **key, "dtype": "$torch.float32"},
    ]
    postprocessing = [
        {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image", "to_tensor": True},
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": "denoised",
            "output_dtype": "$numpy.float32",
            "resample": False,
            "separate_folder": False,
        },
    ]
    dial = {} if found.dial is None else {found.dial: value}
    turned = [] if found.dial is None else [f"$@network_def.{found.dial}.fill_(@{found.dial})"]
    return {
        "imports": ["$import glob", "$import numpy"],
        "bundle_root": ".",
        "dataset_dir": f"{root}'/data'",
        "output_dir": f"{root}'/eval'",
        **dial,
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts')",
        "network": "$@network_def.to(@device).eval()",
        "datalist": "$sorted(glob.glob(@dataset_dir + '/*.nii*'))",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': one} for one in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False},
        "inferer": {"_target_": "SliceInferer", "roi_size": [-1, -1], "spatial_dim": 2, "sw_batch_size": 4},
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "amp": False,
        },
        "initialize": turned,
        "run": ["$@evaluator.run()"],
    }


def _readme(name: str, loaded: LoadedDenoiser, found: Exported, value: float | None) -> str:
    """What the bundle is and how it is used, in Markdown."""
    from taskct import __version__  # the root of the package imports the rooms

    sizes = "images of any size"
    if found.side is not None:
        sizes = f"images of {found.side} x {found.side} pixels alone"
    elif found.size_multiple > 1:
        sizes = f"images whose sides are multiples of {found.size_multiple} pixels; others come out as NaN"
    turned = ""
    if found.dial is not None:
        meaning = {
            "price": "RMSE over the control's on validation trials, less 1, from 0 to 0.2",
            "alpha": "share of the task-informed network, from 0 to 1",
        }[found.dial]
        turned = (
            f"\nIts dial is `{found.dial}` ({meaning}): a number in `configs/inference.json`, {value:g} as it comes, "
            f"or the buffer `{found.dial}` of the module. Beyond its range images are NaN.\n"
        )
    pixel = loaded.card.get("pixel_mm")
    learned = f"It was trained on pixels of {pixel:g} mm. " if isinstance(pixel, int | float) else ""
    return f"""# {name}

{_what(loaded.card)}, exported by taskct {__version__}.

Images go in and come out in HU, float32, `(n, 1, height, width)`: {sizes}.
Rows run to the patient's back, columns to the left. {learned}It is for research, not for diagnosis.
{turned}
    python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
      --dataset_dir FOLDER_OF_NIFTI --output_dir OUT

`models/model.ts` is TorchScript and needs no code but torch's: `torch.jit.load("models/model.ts")`,
or `monai.bundle.load("{name}", bundle_dir=FOLDER_THAT_HOLDS_IT, load_ts_module=True)`.
"""
