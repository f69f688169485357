"""A Dask cluster of processes on loopback, for tests."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Cluster:
    """A scheduler; its workers have one thread and a folder each, and come when they are asked for."""

    def __init__(self, folder: Path, environment: dict[str, str], scheme: str) -> None:
        self.folder, self.scheme = folder, scheme
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
            **environment,
        }
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("dask_scheduler", "--port", "0", "--protocol", "tls" if scheme == "tls" else "tcp")
        end = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < end, "the scheduler did not start"
            time.sleep(0.05)
        place = str(json.loads(self.file.read_text())["address"]).partition("://")[2]
        self.address = f"{scheme}://{place}"

    def _start(self, module: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--host", "127.0.0.1", "--no-dashboard"]
        place = self.folder / f"{module}-{len(self.processes)}"
        place.mkdir()
        if module == "dask_worker":
            options = (*options, "--local-directory", str(place))
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--scheduler-file", str(self.file), *options],
                stdout=log,
                stderr=log,
                cwd=place,
                env={**self.environment, **environment},
            )
        self.processes.append(process)
        return process

    @property
    def scheduler(self) -> subprocess.Popen[bytes]:
        return self.processes[0]

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start one more."""
        options = ["--nthreads", "1", "--no-nanny"]
        if self.scheme == "tls":
            options += ["--protocol", "tls"]
        return self._start("dask_worker", *options, **environment)


@contextmanager
def cluster_of(
    folder: Path, workers: int, *, environment: dict[str, str] | None = None, scheme: str = "dask"
) -> Iterator[Cluster]:
    """A cluster that is gone at the end."""
    cluster = Cluster(folder, environment or {}, scheme)
    try:
        for _ in range(workers):
            cluster.worker()
        yield cluster
    finally:
        for process in cluster.processes:
            process.kill()
            process.wait()


def other_version(folder: Path, package: str) -> str:
    """A folder which, first on the path, makes a package's metadata say another version."""
    place = folder / "other" / f"{package}-0.0.1.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n")
    return os.pathsep.join([str(place.parent), os.environ.get("PYTHONPATH", "")])
