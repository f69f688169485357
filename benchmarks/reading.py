"""Twenty readers at once: how long from an answer to the next trial's images, and what a trial costs the server.

    .venv/bin/python benchmarks/reading.py [--readers 20] [--size 256] [--think 0.25]

One server, in a process of its own, and each reader on a connection of their own read a whole study of two-alternative
forced choice: an answer is sent, kept on disk, and both images of the next trial are fetched. Told are percentiles of
that time, the server's CPU a trial, and the same for one reader alone. The peer keeps nothing: the same framework and
server answer with as many bytes from memory.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reading_client import HttpAsker, PageClient, decide_by_middle
from reading_studies import make_disc_study

_SPAWN = multiprocessing.get_context("spawn")


def serve_study(path, pipe):
    from taskct.reading_room.serve import serve

    serve(path, port=0, announce=lambda study, address: pipe.send(address))


def serve_bytes(n_bytes, pipe):
    """The peer: what the framework and the server cost by themselves."""
    import socket

    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    content = bytes(n_bytes)

    async def answer(request):
        await request.body()
        return JSONResponse({"n": 1})

    async def image(request):
        return Response(content, media_type="application/octet-stream")

    routes = [Route("/answer", answer, methods=["POST"]), Route("/image", image)]
    # By name of the protocol, without which asyncio lets small packets wait for others (Nagle).
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        pipe.send(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False, lifespan="off", ws="none")
        uvicorn.Server(config).run(sockets=[listener])


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(target, argument, read, n_readers):
    """Seconds of each trial, and the server's CPU seconds a trial."""
    here, there = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=target, args=(argument, there), daemon=True)
    process.start()
    port = int(here.recv().rsplit(":", 1)[1])
    times = [[] for _ in range(n_readers)]
    threads = [threading.Thread(target=read, args=(port, number, times[number])) for number in range(n_readers)]
    HttpAsker(port)("GET", "/")  # what is imported late
    before = cpu_seconds(process)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = cpu_seconds(process)
    process.kill()
    process.join()
    found = np.concatenate(times)
    return found, (after - before) / len(found)


def reader_of(study, think):
    def read(port, number, times):
        rng = np.random.default_rng(number)
        p, name = study.protocol, list(study.orders)[number]
        page, decide = PageClient(HttpAsker(port), study.links.readers[name], (p.height, p.width)), decide_by_middle
        state = page.event("begin").json
        images = page.images(state["trial"])
        while state["trial"]:
            trial, decision = state["trial"], decide("2afc", 0)(images, state["trial"])
            time.sleep(rng.exponential(think))
            start = time.perf_counter()
            reply = page.answer(trial, **decision)
            assert reply.status == 200, reply.body
            state = reply.json
            if state["trial"]:
                images = page.images(state["trial"])
                times.append(time.perf_counter() - start)

    return read


def reader_of_bytes(think, n):
    def read(port, number, times):
        rng, ask, body = np.random.default_rng(number), HttpAsker(port), bytes(230)
        for _ in range(n):
            time.sleep(rng.exponential(think))
            start = time.perf_counter()
            ask("POST", "/answer", body)
            for _ in range(2):
                ask("GET", "/image")
            times.append(time.perf_counter() - start)

    return read


def told(what, found, cpu):
    p50, p95, p99 = (1e3 * np.quantile(found, q) for q in (0.5, 0.95, 0.99))
    print(
        f"{what:28} {len(found):5} trials  median {p50:6.1f} ms  95 % {p95:6.1f} ms  99 % {p99:6.1f} ms  "
        f"CPU {1e3 * cpu:5.2f} ms a trial"
    )
    return p95, cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--think", type=float, default=0.25)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:

        def study(name, n):
            readers = [f"reader-{number + 1}" for number in range(n)]
            return make_disc_study(
                Path(folder) / name, "2afc", readers=readers, n_cases=wanted.cases, size=wanted.size, n_training=0,
                break_every=0,
            )  # fmt: skip

        one, many = study("one", 1), study("many", wanted.readers)
        alone = told("one reader", *measured(serve_study, one.path, reader_of(one, wanted.think), 1))
        crowd = told(
            f"{wanted.readers} readers",
            *measured(serve_study, many.path, reader_of(many, wanted.think), wanted.readers),
        )
        read = reader_of_bytes(wanted.think, many.protocol.n_trials - 1)
        peer = told(
            f"{wanted.readers} readers, nothing kept", *measured(serve_bytes, 2 * wanted.size**2, read, wanted.readers)
        )
    print(f"95th percentile: {crowd[0] / alone[0]:.1f} times one reader's, {crowd[0] / peer[0]:.1f} times the peer's")
    print(f"CPU a trial: {crowd[1] / peer[1]:.1f} times the peer's")


if __name__ == "__main__":
    main()
