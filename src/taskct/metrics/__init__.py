"""Pure functions on arrays: image quality, ROC analysis, trade-offs."""
