"""A stochastic abdomen at the height of liver, spleen and kidneys, seen from the feet (the patient's right is left)."""

from taskct.tasks.backgrounds.anatomy import Anatomy, Part, peer, wall_ribs

TISSUES = {
    "skin": (30.0, 10.0),
    "fat": (-105.0, 8.0),
    "muscle": (58.0, 6.0),
    "liver": (110.0, 12.0),
    "spleen": (120.0, 12.0),
    "cortex": (190.0, 20.0),
    "medulla": (150.0, 20.0),
    "pancreas": (95.0, 10.0),
    "stomach wall": (60.0, 8.0),
    "stomach content": (20.0, 12.0),
    "bowel": (45.0, 12.0),
    "bile": (8.0, 5.0),
    "aorta": (155.0, 15.0),
    "vein": (160.0, 15.0),
    "marrow": (170.0, 35.0),
    "bone": (600.0, 80.0),
    "cord": (35.0, 5.0),
    "gas": (-950.0, 20.0),
}
"""Mean and standard deviation over cases, HU: typical of the portal venous phase at 120 kVp, approximate."""

ORGANS = {
    "liver": ("liver", "left lobe"),
    "spleen": ("spleen",),
    "kidneys": ("right kidney", "left kidney"),
    "pancreas": ("pancreas",),
}

_WALL = Part("muscle", "muscle", 0, 0, 153, 104, parent="fat", shift=0.5, size=0.01, texture=0.8)
_CAVITY = (0.0, -30.0, 133.0, 58.0)
_LIVER_VEIN = Part("vein", "vein", 0, 0, 4.2, 3.0, parent="liver", frame="liver", shift=4, size=0.3, swing=90)

PARTS = (
    Part("body", "skin", 0, 0, 174, 124, shift=9),
    Part("fat", "fat", 0, 0, 0, 0, rim=1.8, rim_range=0.2, texture=0.6),
    _WALL,
    Part("cavity", "fat", *_CAVITY, parent="muscle", shift=0.5, size=0.01, texture=0.6),
    Part("vertebra", "bone", 0, 56, 21, 16, parent="muscle", shift=1.5, size=0.06),
    Part("vertebral marrow", "marrow", 0, 0, 0, 0, parent="vertebra", rim=1.8, rim_range=0.2, texture=3.0),
    Part("canal", "cord", 0, 82, 9.5, 6.5, parent="muscle", frame=None, shift=1, size=0.08, texture=0.4),
    Part("spinous process", "bone", 0, 95.5, 3, 4.5, parent="muscle", shift=1, size=0.2),
    Part("right lamina", "bone", -16, 88, 3.5, 6.5, parent="muscle", turn=40, shift=0.7, size=0.15, swing=8),
    Part("left lamina", "bone", 16, 88, 3.5, 6.5, parent="muscle", turn=-40, shift=0.7, size=0.15, swing=8),
    Part("right perirenal fat", "fat", -62, 53, 34, 22, parent="muscle", turn=14, shift=1.5, size=0.05, texture=0.6),
    Part("left perirenal fat", "fat", 62, 53, 34, 22, parent="muscle", turn=-14, shift=1.5, size=0.05, texture=0.6),
    Part("right kidney", "cortex", 2, 0, 26, 18, parent="right perirenal fat", frame="right perirenal fat",
         shift=2, size=0.1, swing=8, texture=1.0),
    Part("left kidney", "cortex", -2, 0, 26, 18, parent="left perirenal fat", frame="left perirenal fat",
         shift=2, size=0.1, swing=8, texture=1.0),
    Part("right medulla", "medulla", 1, 0, 17, 11, parent="right kidney", frame="right kidney", shift=1, size=0.15,
         texture=1.0),
    Part("left medulla", "medulla", -1, 0, 17, 11, parent="left kidney", frame="left kidney", shift=1, size=0.15,
         texture=1.0),
    Part("right renal sinus", "fat", 6, 0, 7, 4, parent="right medulla", frame="right medulla", shift=1, size=0.3,
         texture=0.6, lesions=False),
    Part("left renal sinus", "fat", -6, 0, 7, 4, parent="left medulla", frame="left medulla", shift=1, size=0.3,
         texture=0.6, lesions=False),
    Part("aorta", "aorta", 8, 14, 10, 10, parent="cavity", shift=2, size=0.12),
    Part("vena cava", "vein", -17, 14, 12, 8.5, parent="cavity", shift=2, size=0.15, swing=15),
    Part("liver", "liver", -70, -31, 54, 42, parent="cavity", turn=-8, shift=4, size=0.08, swing=6, texture=1.0),
    Part("left lobe", "liver", 4, -63, 27, 15, parent="cavity", turn=8, shift=4, size=0.15, swing=8, texture=1.0),
    Part("spleen", "spleen", 103, -28, 15, 33, parent="cavity", turn=-10, shift=3, size=0.12, swing=8, texture=1.0),
    Part("stomach", "stomach wall", 58, -51, 27, 23, parent="cavity", turn=10, shift=4, size=0.15, swing=15,
         texture=0.8),
    Part("pancreas", "pancreas", 28, -9, 29, 7.5, parent="cavity", turn=-18, shift=3, size=0.15, swing=8, texture=1.0),
    Part("bowel 1", "bowel", 72, -5, 13, 10, parent="cavity", shift=4, size=0.25, swing=40, texture=0.8),
    Part("bowel 2", "bowel", -4, -33, 10, 8, parent="cavity", shift=3, size=0.25, swing=40, texture=0.8),
    Part("stomach content", "stomach content", 0, 0, 0, 0, parent="stomach", rim=3.5, rim_range=0.3, texture=0.5),
    Part("stomach gas", "gas", 0, -8, 15, 7, parent="stomach content", frame="stomach content", turn=-10, shift=2,
         size=0.2, swing=4, chance=0.6),
    Part("gallbladder", "bile", 24, 24, 12, 8, parent="liver", frame="liver", turn=20, shift=3, size=0.25, swing=20,
         texture=0.4, chance=0.7, lesions=False),
    Part("portal vein", "vein", 30, 3, 9, 5.5, parent="liver", frame="liver", turn=10, shift=3, size=0.2, swing=20),
    *(peer(_LIVER_VEIN, f"liver vein {k}", x=x, y=y)
      for k, (x, y) in enumerate([(-30, 2), (-12, -22), (14, -22), (-10, 20), (2, 2)])),
    *wall_ribs((-48, -14, 18, 46, 66), wall=_WALL, depth=6.0, half=(7.0, 2.7)),
)  # fmt: skip


class Abdomen(Anatomy):
    """An abdomen of ellipses: skin, fat, muscle, liver, spleen, kidneys, stomach, bowel, vessels, spine and ribs.

    All of random place, size, turn and HU; organs never overlap. Sizes are typical of adults (a body of 344 mm by 244
    mm with 10 to 27 mm of fat, an aorta of 20 mm, kidneys of 52 mm by 36 mm), approximate, and grow with the body. A
    lesion may lie in the `liver` (the default), `spleen`, `kidneys` or `pancreas`. The settings are those of
    `Anatomy`.

    Examples
    --------
    >>> import numpy as np
    >>> drawn = Abdomen(n_pixels=96, pixel_mm=4).draw(np.random.default_rng(0), np.arange(2))
    >>> drawn.image_hu.shape, drawn.case.tolist(), bool(drawn.organ.any())
    ((2, 96, 96), [0, 1], True)
    """

    parts = PARTS
    tissues = TISSUES
    organs = ORGANS
    usual_width_mm = (290.0, 370.0)
