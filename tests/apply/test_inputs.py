"""What is read: counterparts by table or header, sites, cases."""

import numpy as np
import pytest

from dicom_files import ct_slice, save
from taskct.apply.observe.inputs import Sources, read_inputs
from taskct.errors import UserError

N_SCANS, N_SLICES = 4, 3


@pytest.fixture
def folders(tmp_path):
    """DICOM slices of four scans and their denoised twins: other names, series and instances, one acquisition each."""
    rng = np.random.default_rng(0)
    new = rng.permutation(N_SCANS * N_SLICES)
    lines = ["image,signal_present"]
    for scan in range(N_SCANS):
        for number in range(N_SLICES):
            stored = rng.integers(900, 1100, size=(4, 6)).astype(np.uint16)
            for kind in ("low", "denoised"):
                dataset = ct_slice(z=2.5 * number, stored=stored if kind == "low" else stored + 1)
                dataset.StudyInstanceUID, dataset.AcquisitionNumber = "1.9", scan + 1
                dataset.SeriesInstanceUID = f"1.2.{len(kind)}.{scan + 1}"
                index = N_SLICES * scan + number
                name = f"{index:02d}" if kind == "low" else f"new{new[index]:02d}"
                save(tmp_path / kind / f"{name}.dcm", dataset)
            lines.append(f"{N_SLICES * scan + number:02d}.dcm,{scan % 2}")
    (tmp_path / "truth.csv").write_text("\n".join(lines))
    return tmp_path


def test_the_header_pairs_what_the_table_does_not_name(folders):
    many = {"case_from": "file"}
    sources = Sources(folders / "low", folders / "truth.csv", versus=(folders / "denoised",), **many)
    found = read_inputs(sources)
    assert found.paired == "acquisition and slice position"
    np.testing.assert_array_equal(found.rivals["versus"], np.asarray(found.images) + 1)
    by_name = read_inputs(Sources(sources.images, sources.truth, versus=sources.versus, pair_by="name", **many))
    assert not np.array_equal(by_name.rivals["versus"], np.asarray(by_name.images) + 1)


def test_numbers_in_a_table_of_a_stack_pair_no_folder_of_files(tmp_path):
    """The sorted names of other files are no numbers: that would be pairing by sorted name again."""
    images = np.random.default_rng(0).normal(size=(6, 4, 4)).astype(np.float32)
    np.save(tmp_path / "low.npy", images)
    np.save(tmp_path / "denoised.npy", images + 1)
    (tmp_path / "files").mkdir()
    for index, new in enumerate((3, 0, 5, 1, 4, 2)):
        np.save(tmp_path / "files" / f"{new}.npy", images[index] + 1)
    table = tmp_path / "truth.csv"
    table.write_text("image,signal_present\n" + "".join(f"{i},{i % 2}\n" for i in range(6)))
    found = read_inputs(Sources(tmp_path / "low.npy", table, versus=(tmp_path / "denoised.npy",)))
    assert found.paired == "the truth table"
    np.testing.assert_array_equal(found.rivals["versus"], np.asarray(found.images) + 1)
    with pytest.raises(UserError, match=r"nothing tells which of the 6 .*By the table: .*no image '0'"):
        read_inputs(Sources(tmp_path / "low.npy", table, versus=(tmp_path / "files",)))


def test_few_series_are_refused_and_a_site_is_of_all_images(folders):
    with pytest.raises(UserError, match="6 images with the signal are of 2 case"):
        read_inputs(Sources(folders / "low", folders / "truth.csv"))
    found = read_inputs(Sources(folders / "low", folders / "truth.csv", case_from="file", site=(1.0, 2.5)))
    np.testing.assert_array_equal(found.truth.centres_px, np.tile([1.0, 2.5], (12, 1)))
    with pytest.raises(UserError, match="rows 0 to 3, columns 0 to 5"):
        read_inputs(Sources(folders / "low", folders / "truth.csv", case_from="file", site=(1.0, 6.0)))


def test_what_the_table_says_is_not_said_twice(folders):
    rows = (folders / "truth.csv").read_text().splitlines()
    table = folders / "more.csv"
    table.write_text(
        "\n".join([rows[0] + ",case,row_px,column_px", *(f"{row},{i},1,1" for i, row in enumerate(rows[1:]))])
    )
    found = read_inputs(Sources(folders / "low", table))
    assert found.cases == "cases as the truth table names them"
    assert len(set(found.truth.cases)) == 12
    with pytest.raises(UserError, match="leave --case-from out"):
        read_inputs(Sources(folders / "low", table, case_from="series"))
    with pytest.raises(UserError, match="leave --site out"):
        read_inputs(Sources(folders / "low", table, site=(1.0, 1.0)))
