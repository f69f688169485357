"""Whether files in use are still the ones that were opened."""

from pathlib import Path

Stamp = tuple[int, ...] | None


def file_stamp(path: Path) -> Stamp:
    """Which file stands at a path; None where there is none. It stays the same while the file is written to."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def content_stamp(path: Path) -> Stamp:
    """Which file stands at a path, its size, and when it was last written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
