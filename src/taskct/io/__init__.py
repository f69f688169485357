"""What people bring and take away: DICOM, NIfTI, image pairs and stacks, truth tables, ratings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
