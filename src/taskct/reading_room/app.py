"""The web application of a reading study: pages, state, images, answers. It never opens the study's truth."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from taskct.errors import UserError
from taskct.reading_room.answers import AlreadyAnswered, AnswerBook, CannotStore, now
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.links import Links
from taskct.reading_room.organiser import StudyProgress, organiser_page, study_progress
from taskct.reading_room.sitting import Sitting
from taskct.reading_room.submission import MOST_BYTES, InvalidBody, read_event, read_submission

BODY_S = 30.0
"""How long a request may take to send its body."""


class ShortNumber(StringConvertor):
    """Digits in an address, few enough to be a position: Starlette's own whole numbers fail at some thousand digits."""

    regex = "[0-9]{1,9}"


register_url_convertor("short", ShortNumber())

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Of the files that are served to anybody."""

NOTHING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Nothing here</title></head>
<body><p>There is nothing here. Please open the link that you were given, all of it.</p></body></html>
"""


class ReadingRoom:
    """A study while it is served.

    Parameters
    ----------
    study
        The study.
    book
        Where its answers are kept.
    """

    def __init__(self, study: StudyFolder, book: AnswerBook) -> None:
        self.study, self.book = study, book
        self.tokens = hashed_tokens(study.links)
        self.organiser = digest_of_token(study.links.organiser)
        self.seen: dict[str, str] = {}
        """When each reader's page asked for something last."""
        self.problem: str | None = None
        """Why the last answer could not be written; None once one could."""

    def sitting(self, request: Request) -> Sitting:
        """The reader whose link the request came by; a 404 as for anything unknown."""
        if (reader := find_reader(self.tokens, str(request.path_params["token"]))) is None:
            raise HTTPException(404)
        self.seen[reader] = now()
        return Sitting(self.study, self.book, reader)

    def check_organiser(self, request: Request) -> None:
        """Pass the organiser's link alone; a 404 as for anything unknown."""
        if not hmac.compare_digest(self.organiser, digest_of_token(str(request.path_params["token"]))):
            raise HTTPException(404)

    def progress(self) -> StudyProgress:
        """How far the study is."""
        return study_progress(self.study, self.book, self.seen, self.problem)

    # --- readers ------------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """The reader's page, the same for all."""
        self.sitting(request)
        return HTMLResponse(_asset("reader.html"))

    async def state(self, request: Request) -> Response:
        """Where the reader stands."""
        return JSONResponse(await run_in_threadpool(self.sitting(request).state))

    async def image(self, request: Request) -> Response:
        """An image of the trial to answer now."""
        where = request.path_params
        sitting = self.sitting(request)
        content = await run_in_threadpool(sitting.image, where["phase"], int(where["position"]), int(where["slot"]))
        if content is None:
            raise HTTPException(404)
        return Response(content, media_type="application/octet-stream")

    async def answer(self, request: Request) -> Response:
        """Keep an answer; it is on disk before the response is sent."""
        sitting = self.sitting(request)
        body = await _body(request)
        return await run_in_threadpool(self._answer, sitting, body)

    async def event(self, request: Request) -> Response:
        """Keep what a reader does beside answering."""
        sitting = self.sitting(request)
        body = await _body(request)
        return await run_in_threadpool(self._event, sitting, body)

    def _answer(self, sitting: Sitting, body: bytes) -> Response:
        try:
            sent = read_submission(body, self.study.protocol)
            if not sitting.may_answer(sent):
                return _conflict(sitting, "This trial is not the one to answer now.")
            self.book.record(sitting.answer_of(sent), sent.displayed)
        except InvalidBody as error:
            return _refused(400, f"The answer was not understood: {error}.")
        except AlreadyAnswered:
            return _conflict(sitting, "This trial has been answered already, perhaps in another window.")
        except CannotStore as error:
            return self._not_stored(error)
        self.problem = None
        state = sitting.state()
        return JSONResponse(state | {"feedback": sitting.feedback(sent)} if sent.phase == "training" else state)

    def _event(self, sitting: Sitting, body: bytes) -> Response:
        try:
            sitting.take(*read_event(body))
        except InvalidBody as error:
            return _refused(400, f"The event was not understood: {error}.")
        except CannotStore as error:
            return self._not_stored(error)
        return JSONResponse(sitting.state())

    def _not_stored(self, error: CannotStore) -> Response:
        self.problem = str(error)
        return _refused(
            507,
            "Your answer could not be stored on the server, and nothing before it is lost. Please tell the organiser.",
        )

    # --- the organiser ------------------------------------------------------------------------------------------------

    async def organiser_page(self, request: Request) -> Response:
        """How far the study is, as a page."""
        self.check_organiser(request)
        page = await run_in_threadpool(lambda: organiser_page(self.progress()))
        # A form without JavaScript names its origin only under this policy; the address is sent to this server alone.
        return HTMLResponse(page, headers={"referrer-policy": "same-origin"})

    async def organiser_progress(self, request: Request) -> Response:
        """How far the study is."""
        self.check_organiser(request)
        return JSONResponse(await run_in_threadpool(lambda: self.progress().as_dict()))

    async def close(self, request: Request) -> Response:
        """End the study for all readers."""
        self.check_organiser(request)
        try:
            await run_in_threadpool(self.book.close_study)
        except CannotStore as error:
            self.problem = str(error)
            return _refused(507, f"The study could not be ended: {error}.")
        return RedirectResponse("./", 303)


def make_app(study: StudyFolder, book: AnswerBook) -> Starlette:
    """The application that serves a study, without its `Guard`."""
    room = ReadingRoom(study, book)

    async def to_folder(request: Request) -> Response:
        known = request.url.path.startswith("/r/")
        room.sitting(request) if known else room.check_organiser(request)
        return RedirectResponse(f"{request.path_params['token']}/", 308)

    routes = [
        Route("/r/{token}/", room.page),
        Route("/r/{token}/state", room.state),
        Route("/r/{token}/image/{phase}/{position:short}/{slot:short}", room.image),
        Route("/r/{token}/answer", room.answer, methods=["POST"]),
        Route("/r/{token}/event", room.event, methods=["POST"]),
        Route("/o/{token}/", room.organiser_page),
        Route("/o/{token}/progress", room.organiser_progress),
        Route("/o/{token}/close", room.close, methods=["POST"]),
        Route("/r/{token}", to_folder),
        Route("/o/{token}", to_folder),
        Route("/static/{name}", _static),
    ]
    handlers: Mapping[Any, Any] = {404: _nothing, 405: _nothing, HTTPException: _told, UserError: _trouble}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False  # it would name the server by what a proxy calls it
    return app


def hashed_tokens(links: Links) -> tuple[tuple[bytes, str], ...]:
    """Digest of each reader's token, and the reader."""
    return tuple((digest_of_token(token), reader) for reader, token in links.readers.items())


def digest_of_token(token: str) -> bytes:
    """SHA-256 of a token; what is compared has one length, whatever was sent."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def find_reader(tokens: tuple[tuple[bytes, str], ...], token: str) -> str | None:
    """Whose token it is; None for nobody's. Each is compared in constant time, also after one was found."""
    asked, found = digest_of_token(token), None
    for known, reader in tokens:
        if hmac.compare_digest(known, asked):
            found = reader
    return found


async def _body(request: Request) -> bytes:
    """The body of a request, if it comes in time and is not too large."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                parts.append(part)
                if (size := size + len(part)) > MOST_BYTES:
                    raise HTTPException(413, f"The body is larger than {MOST_BYTES} bytes.")
    except TimeoutError:
        raise HTTPException(408, "The body did not come in time.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The body did not come.") from None
    return b"".join(parts)


async def _static(request: Request) -> Response:
    """A file of the pages, by a fixed list of names."""
    name = str(request.path_params["name"])
    if name not in _static_files():
        raise HTTPException(404)
    kind = next(kind for ending, kind in KINDS.items() if name.endswith(ending))
    return Response(_asset(name), media_type=kind, headers={"cache-control": "no-cache"})


@cache
def _static_files() -> frozenset[str]:
    there = resources.files("taskct.reading_room").joinpath("assets").iterdir()
    return frozenset(file.name for file in there if file.name.endswith(tuple(KINDS)))


@cache
def _asset(name: str) -> str:
    return resources.files("taskct.reading_room").joinpath("assets", name).read_text(encoding="utf-8")


async def _nothing(request: Request, error: Exception) -> Response:
    """The one page for whatever is not there, is not allowed, or is nobody's link."""
    return HTMLResponse(NOTHING, 404)


async def _trouble(request: Request, error: UserError) -> Response:
    """The files of the study were changed, moved or damaged: the organiser is told what, and readers that it is so."""
    if request.url.path.startswith("/o/"):
        return PlainTextResponse(f"The study cannot be served as it is. {error}", 503)
    return _refused(503, "The study cannot be shown at the moment, and no answer is lost. Please tell the organiser.")


async def _told(request: Request, error: HTTPException) -> Response:
    return _refused(error.status_code, error.detail)


def _refused(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


def _conflict(sitting: Sitting, text: str) -> Response:
    return JSONResponse({"error": text, "state": sitting.state()}, 409)
