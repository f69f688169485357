"""Denoisers: networks, classical filters and the way in for a user's own module."""
