"""Names that tell nothing: of every image, and of every file or series of images, from a secret."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

IMAGE_NAME = re.compile(r"t[0-9a-f]{12}")
GROUP_NAME = re.compile(r"s[0-9a-f]{12}")


@dataclass(frozen=True)
class StudyImage:
    """Which image of a study one is."""

    split: str
    """One of `taskct.study.imports.SHOWN`."""
    index: int
    """In the split, from 0."""


@dataclass(frozen=True)
class Group:
    """Images that travel as one series or one file."""

    name: str
    images: tuple[str, ...]
    """Their names, in order."""


def blind(secret: str, sizes: Mapping[str, int], group_size: int) -> tuple[dict[str, StudyImage], list[Group]]:
    """Name all images of some splits and put them into groups, in the order of their names.

    Parameters
    ----------
    secret
        Who does not know it can tell neither split nor number of an image from its name or its place.
    sizes
        Images in every split.
    group_size
        The most images that travel together.

    Returns
    -------
    The place of every image by its name, in the order of the names; and the groups.

    Examples
    --------
    >>> places, groups = blind("secret", {"test": 2, "fresh": 1}, 2)
    >>> sorted((place.split, place.index) for place in places.values())
    [('fresh', 0), ('test', 0), ('test', 1)]
    >>> [len(group.images) for group in groups]
    [2, 1]
    """
    named = {
        "t" + _code(secret, f"image {split} {index}"): StudyImage(split, index)
        for split, n in sizes.items()
        for index in range(n)
    }
    if len(named) < sum(sizes.values()):
        raise ValueError("two images have one name: take another secret")
    names = sorted(named)
    groups = [
        Group("s" + _code(secret, f"group {start}"), tuple(names[start : start + group_size]))
        for start in range(0, len(names), group_size)
    ]
    return {name: named[name] for name in names}, groups


def _code(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:12]
