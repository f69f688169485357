"""A reader without a browser: asks a server, or its application without a server, what the page asks."""

import asyncio
import http.client
import json
import threading
from dataclasses import dataclass, field

import numpy as np

from taskct.reading_room.app import make_app
from taskct.reading_room.guard import Guard


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class AppAsker:
    """Calls an ASGI application; keeps every reply.

    Its loop runs in a thread of its own, since Playwright keeps one running in the thread of the tests.
    """

    def __init__(self, app):
        self.app, self.loop, self.replies = app, asyncio.new_event_loop(), []
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        asyncio.run_coroutine_threadsafe(self.loop.shutdown_default_executor(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def __call__(self, method, path, body=None, headers=()):
        asked = self._ask(method, path, _bytes(body), {"host": "localhost:8000", **dict(headers)})
        reply = asyncio.run_coroutine_threadsafe(asked, self.loop).result()
        self.replies.append((method, path, reply))
        return reply

    async def _ask(self, method, path, body, headers):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        start, content = sent[0], b"".join(message.get("body", b"") for message in sent[1:])
        return Reply(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, content)


class HttpAsker:
    """Asks a server over one connection that stays open."""

    def __init__(self, port, host="127.0.0.1"):
        self.connection = http.client.HTTPConnection(host, port, timeout=20)

    def __call__(self, method, path, body=None, headers=()):
        self.connection.request(method, path, _bytes(body), dict(headers))
        response = self.connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def close(self):
        self.connection.close()


@dataclass
class PageClient:
    """What the page of one reader asks."""

    ask: object
    token: str
    shape: tuple[int, int] = (32, 32)
    displayed: dict = field(default_factory=lambda: {"centre_hu": 50.0, "width_hu": 200.0, "zoom": 2})

    def get(self, what):
        return self.ask("GET", f"/r/{self.token}/{what}")

    def state(self):
        return self.get("state").json

    def images(self, trial):
        """The images of a trial, HU."""
        replies = [self.get(image) for image in trial["images"]]
        assert {reply.status for reply in replies} == {200}
        return [np.frombuffer(reply.body, "<i2").reshape(self.shape) for reply in replies]

    def body(self, trial, *, choice=None, rating=None, marks=(), seconds=1.5):
        where = {"phase": trial["phase"], "position": trial["position"], "seconds": seconds}
        return where | {"choice": choice, "rating": rating, "marks": list(marks), "displayed": self.displayed}

    def answer(self, trial, **decision):
        return self.post("answer", self.body(trial, **decision))

    def post(self, what, body):
        return self.ask("POST", f"/r/{self.token}/{what}", body)

    def event(self, kind, **detail):
        return self.post("event", {"kind": kind, "detail": detail})

    def read(self, decide, state=None):
        """Read on to the end; `decide(images, trial)` gives an answer's choice, rating, marks."""
        state = state or self.state()
        while state["phase"] not in ("done", "closed"):
            if state["trial"] is None:
                state = self.event("begin" if state["phase"] == "instructions" else "resume").json
                continue
            trial = state["trial"]
            reply = self.answer(trial, **decide(self.images(trial), trial))
            assert reply.status == 200, reply.body
            state = reply.json
        return state


def guarded(study, book):
    """The application as it is served on this machine."""
    return Guard(make_app(study, book), {"localhost", "127.0.0.1"})


def decide_by_middle(design, scale):
    """A reader who takes the mean of the middle as evidence of a disc there."""

    def decide(images, trial):
        middle = [image[image.shape[0] // 2 - 2 :][:4, image.shape[1] // 2 - 2 :][:, :4].mean() for image in images]
        if design in ("2afc", "4afc"):
            return {"choice": int(np.argmax(middle))}
        low, high = (1, 5) if scale == 5 else (0, 100)
        rating = int(np.clip(round(low + (high - low) * (middle[0] - 30) / 60), low, high))
        row, column = (int(at) for at in np.unravel_index(np.argmax(images[0]), images[0].shape))
        mark = {"row_px": row, "column_px": column, "rating": rating}
        if design == "rating":
            return {"rating": rating}
        if design == "locate":
            return {"rating": rating, "marks": [mark]}
        return {"marks": [mark] if rating > (low + high) / 2 else []}

    return decide


def _bytes(body):
    return b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
