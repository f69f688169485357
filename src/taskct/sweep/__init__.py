"""Who does the stages of a study: processes, devices, order, progress."""
