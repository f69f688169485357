"""Trials of a task and where they are stored."""
