"""Memory and time of `taskct denoise` on a long series of 512² slices.

    .venv/bin/python benchmarks/denoise.py [--slices 60] [--kind dicom|nii|nii.gz|npy]

The series is made here, and the network is that of the demo with weights as they are drawn: what it computes does not
depend on them. Two processes of their own are compared. One runs the network alone over the same slices, one at a time;
the other denoises the series from file to file. Times are CPU times of the whole process less those of its start, so
that other work on the machine does not count. Memory is the peak of the process less that of one that has loaded the
model and denoised a single slice.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SIDE = 512


def make_series(folder, n_slices, kind):
    """A body in air with noise, as a scanner stores it; padding outside the field of view."""
    import nibabel as nib
    from pydicom import uid
    from pydicom.dataset import Dataset, FileMetaDataset

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    body = np.where(np.hypot(x / 1.3, y) < 170, 40.0, -1000.0)
    outside = np.hypot(x, y) > SIDE / 2
    slices = np.empty((n_slices, SIDE, SIDE), np.int16)
    for image in slices:
        image[:] = np.rint(body + rng.normal(0.0, 20.0, body.shape)).clip(-1024, 3071)
        image[outside] = -2000
    if kind == "npy":
        np.save(folder / "series.npy", slices)
        return folder / "series.npy"
    if kind != "dicom":
        path = folder / f"series.{kind}"
        nib.save(nib.Nifti1Image(slices.transpose(2, 1, 0), np.diag([-0.8, -0.8, 1.0, 1.0])), path)
        return path
    path = folder / "series"
    path.mkdir()
    for index, image in enumerate(slices):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{index + 1}"
        dataset.Modality, dataset.PatientID, dataset.StudyInstanceUID = "CT", "phantom", "1.2.3"
        dataset.SeriesInstanceUID, dataset.ImageType = "1.2.3.4", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [0.8, 0.8], [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient, dataset.InstanceNumber = [-205, -205, index], index + 1
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.PixelPaddingValue = 1, 0, -2000
        dataset.Rows = dataset.Columns = SIDE
        dataset.set_pixel_data(image, "MONOCHROME2", 16, generate_instance_uid=False)
        dataset.save_as(path / f"{index:04d}.dcm", enforce_file_format=True)
    return path


def make_model(path):
    """The demo's network, its dial apart, in float32, with a card that knows nothing of what it learned on."""
    from taskct.denoisers.denoiser import Denoiser, make_network
    from taskct.training.checkpoints import save_weights

    arguments = {"n_layers": 3, "n_channels": 16, "context_channels": 16}
    card = {"stage": "finetune", "arm": "lambda=0", "network": "context", "arguments": arguments, "dtype": "float32"}
    denoiser = Denoiser(make_network("context", arguments), offset_hu=40.0, scale_hu=60.0)
    save_weights(path, {"denoiser": denoiser}, card)
    return path


def network_alone(model, n_slices):
    """The network over as many slices, one at a time, that are in memory."""
    import torch

    from taskct.apply.denoise import Runner, load_denoiser

    torch.set_num_threads(1)
    run, image = Runner(load_denoiser(model), (SIDE, SIDE)), np.full((1, SIDE, SIDE), 40.0, np.float32)
    for _ in range(n_slices):
        run(image)


def whole(model, source, target):
    """From file to file."""
    import torch

    from taskct.apply.denoise_files import denoise_path

    torch.set_num_threads(1)
    denoise_path(model, source, target, anyway=True, tell=lambda line: None)


def measured(*words):
    """CPU seconds and peak MB of this script run with these words in a process of its own."""
    command = [sys.executable, __file__, *map(str, words)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(text[-2]), float(text[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--kind", choices=("dicom", "nii", "nii.gz", "npy"), default="dicom")
    parser.add_argument("--do", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.do:
        what, *words = asked.do
        if what == "network":
            network_alone(Path(words[0]), int(words[1]))
        else:
            whole(*map(Path, words))
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
        return
    end = "" if asked.kind == "dicom" else f".{asked.kind}"
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        model, source = make_model(folder / "model.safetensors"), make_series(folder, asked.slices, asked.kind)
        start_s, start_mb = measured("--do", "network", model, 1)
        alone_s, _ = measured("--do", "network", model, asked.slices + 1)
        whole_s, whole_mb = measured("--do", "whole", model, source, folder / f"out{end}")
    alone, taken = alone_s - start_s, whole_s - start_s
    each = 1e3 / asked.slices
    print(f"{asked.slices} slices of {SIDE}², {asked.kind}: the network alone {each * alone:.0f} ms of CPU a slice")
    print(f"denoise: {each * taken:.0f} ms a slice, {taken / alone:.2f} × the network alone")
    print(f"memory: {whole_mb:.0f} MB at most, {whole_mb - start_mb:.0f} MB beside the model")


if __name__ == "__main__":
    main()
