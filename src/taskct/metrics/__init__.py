"""Pure functions on arrays: ROC and LROC analysis, intervals and tests, image quality, reader studies (`mrmc`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
