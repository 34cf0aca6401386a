"""Guards every screen: checks the host, the origin, the visitor, and the size and speed of requests; and sets the headers of every
answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backstream.apps.web import addresses
from backstream.apps.web.access.sessions import Doorkeeper, Secrets, Visitor
from backstream.apps.web.access.settings import WebSettings
from backstream.apps.web.background.work import ReaderGone

MOST_BODY = 64 * 1024  # bytes: forms alone are sent
BODY_SECONDS = 15.0  # for a whole form
SEND_SECONDS = 60.0  # for a piece of an answer to be taken
_POLICY = b"; ".join(
    (
        b"default-src 'none'",
        b"script-src 'self'",
        b"style-src 'self'",
        b"img-src 'self'",
        b"connect-src 'self'",
        b"form-action 'self'",
        b"base-uri 'none'",
        b"frame-ancestors 'none'",
    )
)
_SECURITY = (
    (
        b"content-security-policy",
        _POLICY,
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_PUBLIC = "/static/"

Header = tuple[bytes, bytes]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Page = Callable[[int, str, str], bytes]  # a status, what is wrong, and the next step


class TooMuch(Exception):
    """The request is larger than any form of these screens."""


class TooSlow(Exception):
    """A form did not come in time."""


class Guard:
    """An ASGI application that lets requests through to another one, or answers them itself."""

    def __init__(self, app: App, settings: WebSettings, keeper: Doorkeeper, known: Secrets, cookie: str, page: Page) -> None:
        self._app = app
        self._settings = settings
        self._keeper = keeper
        self._known = known
        self._cookie = cookie
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        request = _Answering(scope, receive, send)
        try:
            await self._answer(request)
        except ReaderGone:
            return
        except TooMuch:
            await self._refuse(request, 413, "more was sent than any form holds", "Nothing was read or done.")
        except TooSlow:
            await self._refuse(request, 408, "the request did not come in time", "Send it again.")
        except ConnectionError:
            return
        except Exception as error:  # noqa: BLE001 - its text may hold an item, so it must not reach a log
            await self._defect(request, error)

    async def _answer(self, request: _Answering) -> None:
        headers = request.headers
        if headers.get("host", "").lower() not in self._settings.hosts:
            await self._refuse(
                request, 421, "this is not the name of this server", "Open the address that `backstream web` printed."
            )
            return
        if request.method not in ("GET", "HEAD", "POST"):
            await self._refuse(request, 405, "screens are read with GET", "", more=[(b"allow", b"GET, HEAD, POST")])
            return
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > MOST_BODY:
            raise TooMuch
        if request.path.startswith(_PUBLIC):
            await self._app(request.scope, request.receive, request.send)
            return
        await self._of_visitor(request)

    async def _of_visitor(self, request: _Answering) -> None:
        visitor = self._keeper.visitor(request.headers, request.cookies, request.peer)
        if visitor is None and not self._settings.auth and await self._let_in(request):
            return
        if visitor is None:
            await self._refuse(
                request,
                401,
                "this server does not know you",
                self._keeper.way_in,
                challenge=True,
            )
            return
        if request.method == "POST":
            why = await self._forged(request, visitor)
            if why:
                await self._refuse(request, 403, why, "Nothing was done. Open the screen again, and send the form from there.")
                return
        request.scope["backstream.visitor"] = visitor
        await self._app(request.scope, request.receive, request.send)

    async def _let_in(self, request: _Answering) -> bool:
        """True if the request is for the printed URL: then its token becomes a cookie, and the page continues by itself.

        A redirect would not work: after a link in another site's page, a browser would not send a strict cookie along.
        """
        given = parse_qs(request.query).get("token", [""])[0]
        if request.method != "GET" or request.path != "/" or not self._known.is_token(given):
            return False
        secure = "; Secure" if self._settings.secure else ""
        cookie = f"{self._cookie}={self._known.new_session()}; Path=/; HttpOnly; SameSite=Strict{secure}"
        page = self._page(200, "You are in.", "")
        await request.answer(200, page, [(b"set-cookie", cookie.encode()), (b"refresh", f"0; url={addresses.at('/')}".encode())])
        return True

    async def _forged(self, request: _Answering, visitor: Visitor) -> str:
        """Returns why a form does not come from a screen of this server; empty if it does."""
        headers = request.headers
        if not _is_own(headers):
            return "this form comes from another site"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return "this is no form of ours"
        form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        request.scope["backstream.form"] = form
        return "" if self._known.is_csrf(visitor, form.get("csrf", [""])[0]) else "this form has no valid token"

    async def _refuse(
        self, request: _Answering, status: int, what: str, hint: str, *, challenge: bool = False, more: Sequence[Header] = ()
    ) -> None:
        if request.started:
            return
        headers = [*more, *([(b"connection", b"close")] if status in (408, 413) else [])]
        if challenge and self._keeper.challenge:
            headers.append((b"www-authenticate", self._keeper.challenge.encode()))
        await request.answer(status, self._page(status, what, hint), headers)

    async def _defect(self, request: _Answering, error: Exception) -> None:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = "" if frame is None else f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
        sys.stderr.write(f"error: {type(error).__name__}{where}\n")
        await self._refuse(request, 500, "a defect of Backstream", "Please report it, with the server's text on stderr.")


class _Answering:
    """One request and its answer: bodies are bounded in size and time, and every answer gets its headers."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope: Scope = addresses.enter(scope)
        self.started = False
        self._receive = receive
        self._send = send
        self._body: bytes | None = None
        self._given = False
        self.method: str = scope["method"]
        self.path: str = self.scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.peer: str = (scope.get("client") or ("", 0))[0]
        self.headers: Mapping[str, str] = _headers(scope["headers"])

    @property
    def cookies(self) -> Mapping[str, str]:
        """The request's cookies; none if they cannot be read."""
        found: SimpleCookie = SimpleCookie()
        try:
            found.load(self.headers.get("cookie", ""))
        except CookieError:
            return {}
        return {name: morsel.value for name, morsel in found.items()}

    async def body(self) -> bytes:
        """Returns the whole body. Raises TooMuch and TooSlow."""
        if self._body is None:
            try:
                self._body = await asyncio.wait_for(self._read(), BODY_SECONDS)
            except TimeoutError as error:
                raise TooSlow from error
        return self._body

    async def _read(self) -> bytes:
        parts, size, more = list[bytes](), 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ReaderGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > MOST_BODY:
                raise TooMuch
        return b"".join(parts)

    async def receive(self) -> Message:
        """ASGI's `receive`: the body at once, then the messages after it."""
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": await self.body(), "more_body": False}
        return await self._receive()

    async def send(self, message: Message) -> None:
        """ASGI's `send`. Raises ReaderGone if a piece is not taken in time."""
        if message["type"] == "http.response.start":
            self.started = True
            own = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(each for each in _SECURITY if each[0] not in own)]
        try:
            await asyncio.wait_for(self._send(message), SEND_SECONDS)
        except TimeoutError as error:
            raise ReaderGone from error

    async def answer(self, status: int, body: bytes, more: list[tuple[bytes, bytes]]) -> None:
        """Sends a page of this server."""
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode()), *more]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Returns headers by name; for a repeated one both values, so that nobody is taken for somebody else."""
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _is_own(headers: Mapping[str, str]) -> bool:
    """True if a form comes from a page of this server, as far as the browser states it.

    Pages without a referrer send `Origin: null` with their forms (https://fetch.spec.whatwg.org/#append-a-request-origin-header):
    then `Sec-Fetch-Site` must state it.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        return False
    if origin is None:
        return True
    return site == "same-origin" if origin == "null" else urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
