"""DICOM slices for the tests."""

import warnings

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

PATIENT = "Doe^Jane"
ROW_MM, COLUMN_MM = 2, 3
SUPINE = (1, 0, 0, 0, 1, 0)


def hu_at(xyz):
    """The scene: HU from the place in the patient, mm, so that a value tells where it came from."""
    return xyz @ np.array([1, 20, 100])


def voxel_centres(dataset):
    """Where the stored pixels lie, mm, by DICOM PS3.3 equation C.7.6.2.1-1."""
    along_row, along_column = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
    row_mm, column_mm = dataset.PixelSpacing
    rows = np.arange(dataset.Rows)[:, None, None] * row_mm * along_column
    columns = np.arange(dataset.Columns)[None, :, None] * column_mm * along_row
    return np.array(dataset.ImagePositionPatient, float) + rows + columns


def ct_slice(z=0.0, stored=None, orientation=SUPINE, **tags):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", PATIENT, PATIENT
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PixelSpacing = [ROW_MM, COLUMN_MM]
    dataset.ImageOrientationPatient = list(orientation)
    dataset.ImagePositionPatient = [-5, -7, z]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.Rows, dataset.Columns = 4, 6
    if stored is None:
        stored = (hu_at(voxel_centres(dataset)) + 1024).round().astype(np.uint16)
    dataset.set_pixel_data(stored, "MONOCHROME2", 16, generate_instance_uid=False)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom warns of the wrong values that are put here on purpose
                setattr(dataset, keyword, value)
    return dataset


def enhanced(positions=(0.0, 2.0, 4.0), slopes=None, sop=uid.EnhancedCTImageStorage, orientations=None):
    """A multi-frame CT: one frame a position, its geometry and rescale in functional groups, spacing shared by all."""
    slices = [ct_slice(z=z) for z in positions]
    stored = np.stack([one.pixel_array for one in slices])
    dataset = ct_slice(stored=stored[0])
    dataset.set_pixel_data(stored if len(stored) > 1 else stored[0], "MONOCHROME2", 16, generate_instance_uid=False)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop
    dataset.NumberOfFrames = len(stored)
    frame_only = ("ImageOrientationPatient", "ImagePositionPatient", "RescaleSlope", "RescaleIntercept")
    for keyword in ("PixelSpacing", *frame_only):
        delattr(dataset, keyword)

    def group(sequence, **tags):
        item, holder = Dataset(), Dataset()
        for keyword, value in tags.items():
            setattr(item, keyword, value)
        setattr(holder, sequence, [item])
        return holder

    dataset.SharedFunctionalGroupsSequence = [group("PixelMeasuresSequence", PixelSpacing=[ROW_MM, COLUMN_MM])]
    frames = []
    for index, one in enumerate(slices):
        frame = group("PlanePositionSequence", ImagePositionPatient=one.ImagePositionPatient)
        orientation = (orientations or [SUPINE] * len(slices))[index]
        frame.update(group("PlaneOrientationSequence", ImageOrientationPatient=list(orientation)))
        rescale = {"RescaleSlope": (slopes or [1] * len(slices))[index], "RescaleIntercept": -1024, "RescaleType": "HU"}
        frame.update(group("PixelValueTransformationSequence", **rescale))
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def save(path, dataset):
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.preamble = bytes(128)
    dataset.save_as(path)
    return path


def save_series(folder, n=3, **tags):
    for index in range(n):
        save(folder / f"{index}", ct_slice(z=2.0 * index, **tags))
    return folder
