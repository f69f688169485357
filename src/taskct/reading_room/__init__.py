"""The reading room: reading studies, served to people in their browsers."""
