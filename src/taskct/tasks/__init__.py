"""What is to be found: signals and backgrounds."""
