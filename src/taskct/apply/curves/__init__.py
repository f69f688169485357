"""Curves of detectability against dose, from a user's scans or from test statistics of his own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
