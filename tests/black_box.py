"""A user's denoiser of a folder of DICOM files, which knows nothing of this package: black_box.py IN OUT."""

import sys
from pathlib import Path

import numpy as np
import pydicom
from skimage.restoration import denoise_nl_means


def denoise_folder(source: Path, target: Path) -> None:
    """Denoise every slice, and name the source image in what is written."""
    target.mkdir(exist_ok=True)
    for number, path in enumerate(sorted(source.rglob("*.dcm"), reverse=True)):
        dataset = pydicom.dcmread(path)
        intercept, slope = float(dataset.RescaleIntercept), float(dataset.RescaleSlope)
        hu = dataset.pixel_array * slope + intercept
        denoised = denoise_nl_means(hu, patch_size=5, patch_distance=5, h=15, sigma=25)
        item = pydicom.Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        dataset.SourceImageSequence = [item]
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        stored = np.rint((denoised - intercept) / slope).astype(np.int16)
        dataset.set_pixel_data(stored, "MONOCHROME2", 16, generate_instance_uid=False)
        dataset.save_as(target / f"IM{number:05d}")


if __name__ == "__main__":
    denoise_folder(*map(Path, sys.argv[1:3]))
