"""An S3 server on loopback, for tests: moto's, in a process of its own, with a bucket."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECRET = "Zt9-a-secret-of-the-storage-4qX"
BUCKET = "studies"


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which `s3://studies/...` is that server; it is gone at the end, and its log is in a folder."""
    log = folder / "s3.log"
    with log.open("wb") as out:  # no pipe: one that nobody reads stops it once it is full
        command = [sys.executable, "-u", "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 60
        while (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())) is None:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.05)
        environment = {
            "AWS_ENDPOINT_URL": found[0],
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        make = f"import s3fs; s3fs.S3FileSystem().mkdir('{BUCKET}')"
        subprocess.run([sys.executable, "-c", make], env={**os.environ, **environment}, check=True, timeout=60)
        yield environment
    finally:
        process.kill()
        process.wait()
