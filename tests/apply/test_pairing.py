"""Counterparts are found by what files say of themselves, never by chance."""

from dataclasses import replace

import numpy as np
import pytest

from taskct.apply.observe.pairing import pair
from taskct.errors import UserError
from taskct.io.image_origin import Scan, origins_of

N = 12
SHUFFLED = np.random.default_rng(0).permutation(N)


def slices():
    """Slices of four scans, three of each."""
    return [
        origins_of(
            f"im{i:02d}.dcm",
            1,
            Scan(
                f"image {i}",
                f"series {i // 3}",
                f"acquisition {i // 3}",
                i // 3 + 1,
                i % 3 + 1,
                (0.0, 0.0, 2.5 * (i % 3)),
            ),
        )[0]
        for i in range(N)
    ]


def otherwise(**tags):
    """The same slices from another folder, in another order, with some tags changed."""
    mine = slices()
    result = []
    for place, i in enumerate(SHUFFLED):
        changed = {key: value(int(i)) for key, value in tags.items()}
        scan = replace(mine[i].scan, **changed)
        result.append(replace(mine[i], name=f"new{place}", scan=scan))
    return result


GONE = {
    "image": lambda i: f"another {i}",
    "acquisition": lambda i: "",
    "series": lambda i: f"new {i // 3}",
    "position": lambda i: (),
    "instance_number": lambda i: None,
    "acquisition_number": lambda i: None,
}


@pytest.mark.parametrize(
    ("kept", "how"),
    [
        (["image"], "SOPInstanceUID"),
        (["acquisition", "position"], "acquisition and slice position"),
        (["acquisition", "instance_number"], "acquisition and InstanceNumber"),
        (["series", "position"], "series and slice position"),
        (["series", "instance_number"], "series and InstanceNumber"),
        (["acquisition_number", "instance_number"], "AcquisitionNumber and InstanceNumber"),
    ],
)
def test_a_header_pairs_them_whatever_the_names(kept, how):
    theirs = otherwise(**{key: value for key, value in GONE.items() if key not in kept})
    order, found = pair(slices(), theirs)
    assert found == how
    np.testing.assert_array_equal(SHUFFLED[order], np.arange(N))


@pytest.mark.parametrize(
    ("kept", "how"), [("instance_number", "InstanceNumber"), ("acquisition_number", "AcquisitionNumber")]
)
def test_repeats_that_one_number_tells_apart_are_paired_by_it(kept, how):
    """Ten repeats of one slice: every acquisition has a number, and reconstructions elsewhere keep nothing else."""
    numbered = [replace(one, scan=replace(one.scan, **{kept: i})) for i, one in enumerate(slices())]
    theirs = otherwise(**{key: value for key, value in GONE.items() if key != kept} | {kept: lambda i: i})
    order, found = pair(numbered, theirs)
    assert found == how
    np.testing.assert_array_equal(SHUFFLED[order], np.arange(N))


def test_what_is_not_unique_or_not_the_same_pairs_nothing():
    for kept in (["position"], ["instance_number"], ["acquisition"], ["position", "instance_number"]):
        theirs = otherwise(**{key: value for key, value in GONE.items() if key not in kept})
        with pytest.raises(UserError, match="nothing tells which of the 12"):
            pair(slices(), theirs)
    other_scans = otherwise(**GONE | {"acquisition": lambda i: f"acquisition {i // 3 + 1}", "position": lambda i: (i,)})
    with pytest.raises(UserError, match="nothing tells"):
        pair(slices(), other_scans)


def test_equal_names_pair_and_endings_do_not_matter():
    mine = [one for name in ("a.npy", "b/c.npy", "x.1.npy") for one in origins_of(name, 1, None)]
    theirs = [one for name in ("x.1.tif", "a.tif", "b/c.tif") for one in origins_of(name, 1, None)]
    order, how = pair(mine, theirs)
    assert how == "names of files"
    assert order.tolist() == [1, 2, 0]
    uids = [one for name in ("1.2.840.1", "1.2.840.2") for one in origins_of(name, 1, None)]  # no ending at all
    assert pair(uids, uids[::-1])[0].tolist() == [1, 0]


def test_two_stacks_pair_by_number_and_two_folders_of_stacks_by_both():
    mine, theirs = origins_of("low.npy", 5, None), origins_of("denoised.npy", 5, None)
    order, how = pair(mine, theirs)
    assert how == "numbers in the file"
    assert order.tolist() == [0, 1, 2, 3, 4]
    two = [*origins_of("a.npy", 2, None), *origins_of("b.npy", 2, None)]
    assert pair(two, [*two[2:], *two[:2]])[0].tolist() == [2, 3, 0, 1]
    with pytest.raises(UserError, match="nothing tells"):
        pair(two, [*origins_of("c.npy", 2, None), *origins_of("b.npy", 2, None)])


def test_other_names_are_refused_unless_the_user_insists():
    mine, theirs = ([one for i in range(3) for one in origins_of(f"{kind}{i}.npy", 1, None)] for kind in "pq")
    with pytest.raises(UserError, match="--pair-by name"):
        pair(mine, theirs)
    order, how = pair(mine, theirs, "name")
    assert order.tolist() == [0, 1, 2]
    assert "--pair-by name" in how
    with pytest.raises(UserError, match="not the same trials"):
        pair(mine, theirs[:2], "name")
