"""What people bring and take away: DICOM, NIfTI, image pairs and stacks, truth tables, ratings."""

from typing import TYPE_CHECKING

from taskct.lazy import lazy_names

if TYPE_CHECKING:
    from taskct.io.dicom import CTSeries as CTSeries
    from taskct.io.dicom import read_series as read_series
    from taskct.io.dicom import read_slice as read_slice
    from taskct.io.dicom_write import write_series as write_series
    from taskct.io.image_stack import ImageStack as ImageStack
    from taskct.io.image_stack import read_images as read_images
    from taskct.io.image_stack import read_npy as read_npy
    from taskct.io.nifti import organ_mask as organ_mask
    from taskct.io.nifti import read_label_map as read_label_map
    from taskct.io.nifti import read_label_volume as read_label_volume
    from taskct.io.nifti import read_nifti as read_nifti
    from taskct.io.paired import Pair as Pair
    from taskct.io.paired import read_pair as read_pair
    from taskct.io.paired import read_paired as read_paired
    from taskct.io.ratings_files import read_imrmc as read_imrmc
    from taskct.io.ratings_files import read_ratings_csv as read_ratings_csv
    from taskct.io.ratings_files import write_imrmc as write_imrmc
    from taskct.io.ratings_files import write_ratings_csv as write_ratings_csv
    from taskct.io.read_volumes import read_label_volumes as read_label_volumes
    from taskct.io.read_volumes import read_paired_volumes as read_paired_volumes
    from taskct.io.read_volumes import read_volumes as read_volumes
    from taskct.io.truth_table import Truth as Truth
    from taskct.io.truth_table import read_truth as read_truth
    from taskct.io.volume import Volume as Volume
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "dicom": ["CTSeries", "read_series", "read_slice"],
            "dicom_write": ["write_series"],
            "image_stack": ["ImageStack", "read_images", "read_npy"],
            "nifti": ["organ_mask", "read_label_map", "read_label_volume", "read_nifti"],
            "paired": ["Pair", "read_pair", "read_paired"],
            "ratings_files": ["read_imrmc", "read_ratings_csv", "write_imrmc", "write_ratings_csv"],
            "truth_table": ["Truth", "read_truth"],
            "volume": ["Volume"],
            "read_volumes": ["read_label_volumes", "read_paired_volumes", "read_volumes"],
        },
    )
