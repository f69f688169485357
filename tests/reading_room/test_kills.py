"""The server is killed at random, a hundred times, while readers answer: no answer that it acknowledged is lost.

SIGKILL leaves a process no time for anything. What the system has taken for writing survives it, as it would not a
power cut: against that stands SQLite's wait for the disk at each commit, whose setting `test_answers.py` holds.
"""

import http.client
import threading
import time

import numpy as np
import pytest

from reading_client import HttpAsker, PageClient
from reading_server import start
from reading_studies import make_disc_study
from taskct.reading_room.answers import ANSWERS, AnswerBook

N_KILLS = 100
READERS = ("ann", "bo", "carl")
AWAY = (ConnectionError, http.client.HTTPException, TimeoutError)


class Persistent:
    """A reader who answers as fast as the server takes it, and sends an answer again until it is acknowledged."""

    def __init__(self, study, reader, where):
        self.reader, self.where, self.told, self.again = reader, where, [], 0
        self.token, self.rng = study.links.readers[reader], np.random.default_rng(len(reader))
        self.thread = threading.Thread(target=self._read)

    def _read(self):
        pending = None
        while not self.where["over"].is_set():
            try:
                asker = HttpAsker(self.where["port"])
            except KeyError:
                continue
            page = PageClient(asker, self.token, (16, 16))
            try:
                state = page.state()
                while not self.where["over"].is_set():
                    if pending is not None:
                        self.again += 1
                        reply = page.post("answer", pending)
                    elif state["trial"] is None:
                        state = page.event("begin" if state["phase"] == "instructions" else "resume").json
                        if state["phase"] == "done":
                            return
                        continue
                    else:
                        page.images(state["trial"])
                        seconds = float(self.rng.uniform(0.5, 5.0))
                        pending = page.body(state["trial"], rating=int(self.rng.integers(1, 6)), seconds=seconds)
                        reply = page.post("answer", pending)
                    assert reply.status == 200, reply.body
                    self.told.append((pending["position"], pending["rating"], pending["seconds"]))
                    state, pending = reply.json, None
            except AWAY:
                time.sleep(0.002)
            finally:
                asker.close()


@pytest.mark.slow
def test_a_hundred_kills_lose_no_answer(tmp_path):
    study = make_disc_study(
        tmp_path / "study", "rating", readers=READERS, n_cases=1200, arms=("plain",), size=16, n_training=0, scale=5,
        break_every=0,
    )  # fmt: skip
    rng, where = np.random.default_rng(0), {"over": threading.Event()}
    readers = [Persistent(study, reader, where) for reader in READERS]
    for reader in readers:
        reader.thread.start()
    for _ in range(N_KILLS):
        server = start(study.path)
        where["port"] = server.port
        time.sleep(float(rng.uniform(0.0, 0.12)))
        server.kill()
    where["over"].set()
    for reader in readers:
        reader.thread.join()
    n_told = 0
    with AnswerBook(study.path / ANSWERS, read_only=True) as book:
        for reader in readers:
            kept = [(one.position, one.rating, one.seconds) for one in book.answers(reader=reader.reader)]
            told = reader.told
            assert kept[: len(told)] == told  # in their order, each once, with what was answered
            assert len(kept) <= len(told) + 1  # and one at most that was kept and not acknowledged any more
            assert reader.again > 0
            n_told += len(told)
    assert n_told > 100
