"""Who may ask: names of the host, origins of requests that change something, and what every response says of itself."""

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # the address holds the token
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "no-store",
}
"""Of every response; an endpoint may set one of its own."""


class Guard:
    """Passes requests on that name this server and come from its own pages, and sets `HEADERS` on every response.

    Parameters
    ----------
    app
        What is guarded.
    names
        Host names that the server goes by, lower case, without a port.
    any_address
        Whether every IP address is one of them, as where the server listens on all.

    Notes
    -----
    A page elsewhere whose name is made to lead here (DNS rebinding) sends its own name in `Host`, and is refused. An IP
    address cannot be made to lead elsewhere.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str], any_address: bool = False) -> None:
        self.app, self.names, self.any_address = app, frozenset(names), any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        if not self.knows(headers.getlist("host")):
            refusal = "This server is not known by that name. The organiser can say which address to open."
            await PlainTextResponse(refusal, 421)(scope, receive, send_marked)
        elif scope["method"] not in ("GET", "HEAD") and not is_own(headers):
            await PlainTextResponse("Refused: sent from another site's page.", 403)(scope, receive, send_marked)
        else:
            await self.app(scope, receive, send_marked)

    def knows(self, hosts: list[str]) -> bool:
        """Whether the `Host` headers of a request are one, and name this server."""
        name = host_name(hosts[0]) if len(hosts) == 1 else None
        return name is not None and (name in self.names or (self.any_address and _is_address(name)))


def is_own(headers: Headers) -> bool:
    """Whether a request that changes something comes from this server's own page, or from no page at all.

    Browsers tell where a request comes from; what they tell first is `Sec-Fetch-Site`, where they trust the connection.
    What tells nothing is no browser, and knows the token.
    """
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    if (origin := headers.get("origin")) is not None:
        return bool(origin) and urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    return True


def host_name(host: str) -> str | None:
    """The name in a `Host` header, lower case, without port or brackets; None where it is none.

    >>> host_name("LOCALHOST:8000"), host_name("[::1]:8000"), host_name("a@b")
    ('localhost', '::1', None)
    """
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return None
    return parts.hostname.rstrip(".") if parts.hostname and parts.netloc == host and "@" not in host else None


def names_of(host: str, url: str | None) -> tuple[frozenset[str], bool]:
    """Host names that a server goes by, and whether all IP addresses are among them.

    Parameters
    ----------
    host
        That it listens on.
    url
        Under which readers reach it through a proxy, if they do.
    """
    names = {*LOOPBACK, host.lower()}
    if url is not None and (name := urlsplit(url).hostname):
        names.add(name)
        with suppress(UnicodeError):  # what a browser sends for a name that is not ASCII
            names.add(name.encode("idna").decode())
    if everywhere := is_everywhere(host):
        names.add(socket.gethostname().lower())
    return frozenset(names), everywhere


def is_everywhere(host: str) -> bool:
    """Whether a server that listens on this address does so on all addresses of the machine."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
