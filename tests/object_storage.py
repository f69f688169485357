"""An S3 server on loopback, for tests: moto's, in a process of its own, with a bucket."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECRET = "Zt9-a-secret-of-the-storage-4qX"
BUCKET = "studies"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """The environment in which `s3://studies/...` is that server; it is gone at the end."""
    command = [sys.executable, "-u", "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        place = next(found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        environment = {
            "AWS_ENDPOINT_URL": place,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        make = "import s3fs; s3fs.S3FileSystem().mkdir('studies')"
        subprocess.run([sys.executable, "-c", make], env={**os.environ, **environment}, check=True, timeout=60)
        yield environment
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
