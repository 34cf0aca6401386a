"""The common parts of all screens: the vault, templates, background jobs, and the privacy settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from backstream.apps.config import Config
from backstream.apps.library import TableBackup, Vault
from backstream.apps.web import addresses, command_lines, values
from backstream.apps.web.access.privacy import Privacy
from backstream.apps.web.access.remembered import Remembered
from backstream.apps.web.access.sessions import Secrets, Visitor
from backstream.apps.web.access.settings import WebSettings
from backstream.apps.web.background.jobs import BackgroundTask, Jobs
from backstream.apps.web.background.stopping import StopToken, stoppable
from backstream.apps.web.background.work import Work
from backstream.apps.web.history.timeline import SegmentNames
from backstream.apps.web.states import States
from backstream.apps.web.table_looks import TableLooks
from backstream.errors import BackstreamError, NotFound, Refused, Unavailable, UsageError
from backstream.model import moment
from backstream.model.objectives import in_words
from backstream.model.tables import naming
from backstream.model.values.visible import visible
from backstream.temporary_folders import TemporaryFolder
from backstream.vault.table_vault import TableVault
from backstream.version import __version__

_Answer = TypeVar("_Answer")
STATUSES: tuple[tuple[type[BackstreamError], int], ...] = ((UsageError, 400), (Refused, 403), (NotFound, 404), (Unavailable, 503))


def _shown(value: object) -> object:
    """Returns a template's output: everything but this server's own markup has all characters made visible, and is escaped after
    that.
    """
    return value if isinstance(value, Markup) else visible(value if isinstance(value, str) else str(value))


def as_typed(text: str) -> Markup:
    """Returns a text for a form's field, which sends it again as it is: made visible, it would become another one."""
    return escape(text)


def templates() -> Environment:
    """Returns the templates, with their common functions."""
    made = Environment(
        loader=PackageLoader("backstream.apps.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "iso": moment.iso,
        "words": in_words,
        "key_words": values.key_words,
        "number": lambda value: f"{value:,}",
        "bytes": size_words,
        "as_typed": as_typed,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    made.globals |= {"version": __version__, "root": addresses.root}
    return made


def size_words(size: float) -> str:
    """Returns `1.5 MB` for a number of bytes."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Site:
    """One server's parts. Its memory is bounded: everything remembered has limits."""

    def __init__(self, config: Config, settings: WebSettings, secrets: Secrets) -> None:
        self.config = config
        self.settings = settings
        self.secrets = secrets
        self.clock = config.clock
        self.remembered = Remembered(secrets.key)
        self.privacy = Privacy(settings, self.remembered)
        self.work = Work(self.clock)
        self.jobs = Jobs(self.clock)
        self.names = SegmentNames()
        self.looks = TableLooks()
        self.folder = TemporaryFolder()
        self.states = States(self.jobs, self.folder.path, self.clock)
        self._templates = templates()

    def close(self) -> None:
        """Ends the work under way, and leaves nothing behind."""
        self.work.close()
        self.jobs.close()
        self.folder.cleanup()

    # --- the vault ---

    def held(self, token: StopToken) -> Vault:
        """Returns the vault. Reading ends once the token says so."""
        return Vault(self.config.through(partial(_seen, token)))

    def backup(self, token: StopToken, table: str) -> TableBackup:
        """Returns a table's backup."""
        naming.check_table_name(table)
        return self.held(token).table(table)

    def vault(self, token: StopToken, table: str) -> TableVault:
        """Returns a table's vault, whose items may be shown."""
        naming.check_table_name(table)
        found = self.config.through(partial(_seen, token)).vault(table)
        self.privacy.check_table(found.catalog)
        return found

    async def read(self, request: Request, task: Callable[[StopToken], _Answer]) -> _Answer:
        """Returns the result of a blocking function, which runs in a thread and ends when the reader goes away."""
        return await self.work.run(request, task)

    # --- pages ---

    def page(self, request: Request, template: str, **filled: Any) -> Response:
        """Returns a page from a template."""
        return HTMLResponse(self.text(template, csrf=self.secrets.csrf(visitor_of(request)), **filled))

    def text(self, template: str, **filled: Any) -> str:
        """Returns a filled template."""
        given = {
            "settings": self.settings,
            "url": self.config.url,
            "table": "",
            "commands": [],
            "notes": [],
            "crumbs": [],
            **filled,
        }
        return str(self._templates.get_template(template).render(given))

    def problem(self, status: int, what: str, hint: str) -> bytes:
        """Returns a page that reports a problem, also for visitors who were not let in."""
        return self.text("error.html", status=status, what=what, hint=hint, csrf="", url="").encode()

    def failed(self, error: BackstreamError, **more: Any) -> Response:
        """Returns the page of an error."""
        what, hint = self.privacy.error(error)
        status = next((status for kind, status in STATUSES if isinstance(error, kind)), 502)
        return HTMLResponse(self.text("error.html", status=status, what=what, hint=hint, csrf="", **more), status)

    def command(self, *words: str) -> str:
        """Returns a command of this vault, as one would type it."""
        return command_lines.line(*words, "--vault", self.config.url)

    def job(self, name: str, kind: str) -> BackgroundTask:
        """Returns a job. Raises NotFound if there is none with that id and kind."""
        found = self.jobs.get(name)
        if found is None or found.kind != kind:
            raise NotFound(f"there is no {kind} {name}", hint="It is forgotten, or the server was started again.")
        return found


def _seen(token: StopToken, store: Any) -> Any:
    return stoppable(store, token.check)


def visitor_of(request: Request) -> Visitor:
    """Returns the visitor."""
    visitor: Visitor = request.scope["backstream.visitor"]
    return visitor


def field(request: Request, name: str) -> str:
    """Returns a field of the submitted form; empty if it is missing."""
    return next(iter(every(request, name)), "")


def every(request: Request, name: str) -> list[str]:
    """Returns all values of a field."""
    form: Mapping[str, list[str]] = request.scope.get("backstream.form", {})
    return form.get(name, [])


def asked(request: Request, name: str) -> str:
    """Returns a parameter of the address; empty if it is missing."""
    return str(request.query_params.get(name, ""))


def count_in(text: str, most: int) -> int:
    """Returns the number in a parameter; 0 if it is not one. Raises UsageError if it is too large."""
    if not text:
        return 0
    if not text.isdecimal() or int(text[:18]) > most:
        raise UsageError(f"not a number of this list: {text[:40]!r}")
    return int(text)


def go_to(url: str) -> Response:
    """Sends the browser on, after a form."""
    return RedirectResponse(url, 303)
