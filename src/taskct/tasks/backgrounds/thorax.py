"""A stochastic thorax at the height of the heart, seen from the feet (the patient's right is left)."""

from taskct.tasks.backgrounds.anatomy import Anatomy, Part, peer, wall_ribs

TISSUES = {
    "skin": (30.0, 10.0),
    "fat": (-105.0, 8.0),
    "muscle": (58.0, 6.0),
    "lung": (-850.0, 30.0),
    "myocardium": (105.0, 10.0),
    "blood": (170.0, 20.0),
    "oesophagus": (40.0, 8.0),
    "air": (-990.0, 5.0),
    "marrow": (170.0, 35.0),
    "bone": (600.0, 80.0),
    "cord": (35.0, 5.0),
}
"""Mean and standard deviation over cases, HU: typical of a contrast-enhanced chest at 120 kVp, approximate."""

ORGANS = {"lungs": ("right lung", "left lung"), "heart": ("heart",)}

_WALL = Part("muscle", "muscle", 0, 0, 156, 104, parent="fat", shift=0.5, size=0.01, texture=0.8)
_RIGHT = Part("v", "blood", 0, 0, 3.4, 2.6, parent="right lung", frame="right lung", shift=5, size=0.3, swing=90)
_LEFT = peer(_RIGHT, "v", parent="left lung", frame="left lung")
# From the hilum outwards; the right lung's places, and their mirror images in the left lung.
_VESSELS = ((44, 12, 1.3), (36, -10, 1.2), (30, 30, 1.1), (18, 8, 1.0), (14, -30, 0.8), (4, 34, 0.8), (-6, -8, 0.7),
            (-14, 16, 0.6), (-20, -34, 0.5), (-26, 40, 0.5), (-32, 0, 0.5))  # fmt: skip

PARTS = (
    Part("body", "skin", 0, 0, 176, 123, shift=8),
    Part("fat", "fat", 0, 0, 0, 0, rim=1.8, rim_range=0.2, texture=0.6),
    _WALL,
    Part("right lung", "lung", -79, -5, 56, 66, parent="muscle", turn=3, shift=2, size=0.03, swing=2, texture=4.0),
    Part("left lung", "lung", 87, 2, 47, 62, parent="muscle", turn=5, shift=2, size=0.03, swing=2, texture=4.0),
    Part("sternum", "bone", 0, -92, 19, 5.5, parent="muscle", shift=1, size=0.15),
    Part("sternal marrow", "marrow", 0, 0, 0, 0, parent="sternum", rim=1.5, texture=3.0),
    Part("retrosternal fat", "fat", 2, -79, 17, 4.5, parent="muscle", shift=1.5, size=0.2, texture=0.6),
    Part("heart", "myocardium", 14, -42, 35, 27, parent="muscle", turn=22, shift=3, size=0.08, swing=8, texture=1.0),
    Part("left ventricle", "blood", 13, 2, 14, 12, parent="heart", frame="heart", shift=2, size=0.12, texture=0.6,
         lesions=False),
    Part("right ventricle", "blood", -15, -3, 12, 16, parent="heart", frame="heart", shift=1.5, size=0.12, texture=0.6,
         lesions=False),
    Part("pulmonary artery", "blood", 11, 1, 14, 7, parent="muscle", shift=2, size=0.12, swing=8),
    Part("superior vena cava", "blood", -12, -2, 5.5, 6, parent="muscle", shift=1.5, size=0.15),
    Part("right bronchus", "air", -10, 15, 5.5, 5, parent="muscle", shift=1.5, size=0.15),
    Part("left bronchus", "air", 16, 16, 5.5, 5, parent="muscle", shift=1.5, size=0.15),
    Part("oesophagus", "oesophagus", 2, 31, 8, 5.5, parent="muscle", shift=2, size=0.2, swing=20),
    Part("aorta", "blood", 25, 43, 11, 11, parent="muscle", shift=2, size=0.12),
    Part("vertebra", "bone", 0, 58, 17, 14, parent="muscle", shift=1.5, size=0.06),
    Part("vertebral marrow", "marrow", 0, 0, 0, 0, parent="vertebra", rim=1.8, rim_range=0.2, texture=3.0),
    Part("canal", "cord", 0, 80, 9, 6.5, parent="muscle", shift=1, size=0.08, texture=0.4),
    Part("spinous process", "bone", 0, 94.5, 3, 5, parent="muscle", shift=1, size=0.15),
    Part("right lamina", "bone", -16, 85, 3.5, 7, parent="muscle", turn=40, shift=0.7, size=0.15, swing=8),
    Part("left lamina", "bone", 16, 85, 3.5, 7, parent="muscle", turn=-40, shift=0.7, size=0.15, swing=8),
    *wall_ribs((-52, -18, 14, 44, 66), wall=_WALL, depth=6.5, half=(8.0, 3.0)),
    *(peer(_RIGHT, f"right vessel {k}", x=x, y=y, a=3.4 * size, b=2.6 * size, lesions=False)
      for k, (x, y, size) in enumerate(_VESSELS)),
    *(peer(_LEFT, f"left vessel {k}", x=-0.8 * x, y=y, a=3.4 * size, b=2.6 * size, lesions=False)
      for k, (x, y, size) in enumerate(_VESSELS)),
)  # fmt: skip


class Thorax(Anatomy):
    """A thorax of ellipses: skin, fat, muscle, lungs with vessels, heart, great vessels, bronchi, spine and ribs.

    All of random place, size, turn and HU; organs never overlap. Sizes are typical of adults (a body of 352 mm by
    246 mm with 10 to 26 mm of fat, a descending aorta of 22 mm), approximate, and grow with the body.
    The texture is four times as strong in the lungs as in the heart's wall.

    A lesion may lie in the `lungs` (the default) or `heart` (its wall). The settings are those of `Anatomy`.

    Examples
    --------
    >>> import numpy as np
    >>> drawn = Thorax(n_pixels=96, pixel_mm=4).draw(np.random.default_rng(0), np.arange(2))
    >>> drawn.image_hu.shape, drawn.case.tolist(), bool(drawn.organ.any())
    ((2, 96, 96), [0, 1], True)
    """

    parts = PARTS
    tissues = TISSUES
    organs = ORGANS
    usual_width_mm = (300.0, 380.0)
