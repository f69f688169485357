"""What people bring and take away: DICOM, NIfTI, image pairs and stacks, truth tables, ratings."""
