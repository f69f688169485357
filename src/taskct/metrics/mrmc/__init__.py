"""Multi-reader multi-case (MRMC) analysis of the area under the ROC curve."""
