"""Observers fitted to people: internal noise that makes a model as good as readers were, and where the two disagree."""
