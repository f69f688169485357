"""Serving a reading study: one server for a folder, at one address."""

import asyncio
import errno
import importlib.util
import logging
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from taskct.errors import UserError
from taskct.files import write_json
from taskct.reading import read_json
from taskct.reading_room.answers import ANSWERS, AnswerBook, now
from taskct.reading_room.folder import StudyFolder, is_study

LOCK, HOLDER = "serving.lock", "serving.json"

GRACE_S = 3
"""How long answers under way may take when the server is stopped."""


def serve(
    path: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    url: str | None = None,
    announce: Callable[[StudyFolder, str], None] = lambda study, address: None,
) -> None:
    """Serve a reading study until Ctrl-C; all answers are kept, and it may be served again.

    Parameters
    ----------
    path
        Folder of the study.
    host
        Address to listen on.
    port
        0 to 65535; 0 for any that is free.
    url
        Under which readers reach it, where something stands in front, such as https://reading.example.org.
    announce
        Is given the study and the address of its pages, without a trailing slash, once it is served.

    Raises
    ------
    UserError
        If the extra `reading` is missing, another process serves the study, the study was changed, or the port
        cannot be had.
    """
    check_extra()
    check_url(url)
    import uvicorn

    from taskct.reading_room.app import make_app
    from taskct.reading_room.guard import Guard, is_everywhere, names_of

    if not is_study(path):  # before anything is written there
        raise UserError(f"{path} is no reading study: `taskct read RUN --out STUDY` makes one")
    with _claimed(path), _listening(host, port) as listener:
        study = StudyFolder.open(path)
        with AnswerBook(path / ANSWERS) as book:
            book.bind(study.digest)
            if is_everywhere(bound := listener.getsockname()[0]):
                host = bound  # which may have been given as 0
            app = Guard(make_app(study, book), *names_of(host, url))
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # addresses hold tokens
                lifespan="off",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
            log = logging.getLogger("uvicorn.error")
            log.setLevel(logging.ERROR)
            log.addFilter(_is_fault)
            announce(study, url.rstrip("/") if url else address_of(host, listener.getsockname()[1]))
            with suppress(KeyboardInterrupt):  # raised again once it has tidied up
                uvicorn.Server(config).run(sockets=[listener])


def _is_fault(record: logging.LogRecord) -> bool:
    """Whether a line of the server's log tells of a fault, and not of a slow request that its end cut off."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and "graceful shutdown exceeded" not in record.getMessage()


def check_extra() -> None:
    """Raise a `UserError` if what serves is not installed."""
    for module in ("starlette", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            raise UserError(
                f"serving a reading study needs {module}, which is not installed: pip install 'taskct[reading]'"
            )


def check_url(url: str | None) -> None:
    """Raise a `UserError` if it is no address of a server, without path."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        right = False
    if not right or "@" in url:
        raise UserError(f"the address {url!r} of the server is none: give one such as https://reading.example.org")


def address_of(host: str, port: int) -> str:
    """Where a browser finds the pages.

    >>> address_of("0.0.0.0", 8000).endswith(":8000"), address_of("::1", 80), address_of("127.0.0.1", 8000)
    (True, 'http://[::1]:80', 'http://127.0.0.1:8000')
    """
    from taskct.reading_room.guard import is_everywhere

    name = socket.gethostname() if is_everywhere(host) else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def network_warning(host: str, url: str | None) -> str | None:
    """What to tell who serves a study where others than this machine reach it; None where none do, or by https."""
    from taskct.reading_room.guard import is_loopback

    if is_loopback(host) or (url is not None and urlsplit(url).scheme == "https"):
        return None
    return (
        f"--host {host}: other machines can reach this server, and what they exchange, links too, is not encrypted; "
        "put a proxy with TLS in front, as docs/security.md says, and give its address by --url"
    )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; a `UserError` if there can be none."""
    if not 0 <= port <= 65535:
        raise UserError(f"--port is {port}; give 0 to 65535, 0 for any that is free")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UserError(f"--host is {host!r}, no address of this machine; give one, such as 127.0.0.1") from None
    # With the protocol, since asyncio sends small packets at once (TCP_NODELAY) on a socket that tells it alone.
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as listener:
        if sys.platform != "win32":  # where it would let two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            raise UserError(_why_no_port(error, host, port)) from None
        yield listener


def _why_no_port(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program: give --port {port % 65535 + 1}, or 0 for any that is free"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} needs rights that you have not: give one above 1023, such as --port 8000"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host is {host!r}, no address of this machine; give one, such as 127.0.0.1"
    return f"{host} port {port} cannot be had: {error.strerror or error}; give another --host or --port"


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """Keep other servers off a study; a `UserError` if one is there."""
    lock = FileLock(path / LOCK, mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"{path} is served already{_holder(path)}: open its links, or stop that server first") from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; make it so, or copy it to a place where it can"
        ) from error
    try:
        _write_holder(path)
        yield
    finally:
        (path / HOLDER).unlink(missing_ok=True)
        lock.release()


def _write_holder(path: Path) -> None:
    try:
        write_json(path / HOLDER, {"pid": os.getpid(), "host": platform.node(), "since": now()})
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be written: {reason}; make room or give the right to, and try again") from error


def _holder(path: Path) -> str:
    """Who serves a study, in words; nothing where that cannot be read."""
    try:
        told = read_json(path / HOLDER)
        return f", by process {int(told['pid'])} on {told['host']}"
    except (UserError, TypeError, ValueError, KeyError):
        return ""
