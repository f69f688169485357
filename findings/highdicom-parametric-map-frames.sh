#!/usr/bin/env bash
# highdicom 0.28.2: a parametric map of slices given from feet to head is stored from head to feet.
#
# Expected: frame i of the map is pixel_array[i], the map of source_images[i], as they were given.
# Seen: for an axial CT series whose slices rise in z, frames are stored with z falling, each with its position. Position
#   and values of a frame belong together; their order is not that of what was given, nor that of the source's slices.
# Why it matters: whoever pairs frame i of the map with slice i of the CT pairs the head with the feet, with no error. Pair
#   by ImagePositionPatient.
# Output seen:
#   z of the source: [0.0, 2.0, 4.0, 6.0]
#   z of the frames: [6.0, 4.0, 2.0, 0.0]
#   values: [6.0, 4.0, 2.0, 0.0]
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 pydicom==3.0.2 highdicom==0.28.2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import highdicom
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

study, series, frame_of_reference = (generate_uid() for _ in range(3))


def ct_slice(number):
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = CTImageStorage, generate_uid(), "CT"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame_of_reference
    one.PatientName, one.PatientID, one.StudyDate, one.StudyTime = "Doe^Jane", "1", "20200101", "000000"
    for empty in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "ReferringPhysicianName"):
        setattr(one, empty, "")
    one.SeriesNumber, one.InstanceNumber, one.Rows, one.Columns = 1, number + 1, 4, 4
    one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * number]
    one.PixelSpacing, one.SliceThickness, one.SamplesPerPixel = [1, 1], 2, 1
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.PhotometricInterpretation, one.RescaleSlope, one.RescaleIntercept = "MONOCHROME2", 1, 0
    return one


source = [ct_slice(number) for number in range(4)]
z = [float(one.ImagePositionPatient[2]) for one in source]
values = np.stack([np.full((4, 4), place, dtype=np.float32) for place in z])
mapping = highdicom.pm.RealWorldValueMapping(
    lut_label="1", lut_explanation="map", unit=codes.UCUM.NoUnits, value_range=(0.0, 6.0), slope=1, intercept=0
)
made = highdicom.pm.ParametricMap(
    source, values, series_instance_uid=generate_uid(), series_number=2, sop_instance_uid=generate_uid(),
    instance_number=1, manufacturer="x", manufacturer_model_name="x", software_versions="1", device_serial_number="1",
    contains_recognizable_visual_features=False, real_world_value_mappings=[mapping], window_center=0, window_width=1,
)
frames = made.PerFrameFunctionalGroupsSequence
stored = [float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in frames]
held = np.frombuffer(made.FloatPixelData, dtype=np.float32).reshape(4, -1)[:, 0].tolist()
print(f"z of the source: {z}")
print(f"z of the frames: {stored}")
print(f"values: {held}")
sys.exit(0 if stored == held == z[::-1] else 1)
PYTHON
