"""Runs: those under way, the remains of earlier ones, and how to resume or undo them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.verbs.arguments import resumable_folder
from backstream.apps.web import addresses, values
from backstream.apps.web.background.jobs import DONE, RUNNING, BackgroundTask
from backstream.apps.web.left_files import LeftFile, left_file, left_files
from backstream.apps.web.screens.forms import Deed, check_deed
from backstream.apps.web.site import Site, field, go_to
from backstream.errors import NotFound, Refused, UsageError
from backstream.model.tables import naming
from backstream.operations.restore import Failure, Restored
from backstream.operations.revert import Reverted

NAMED = 50  # failures of a run that are shown
STEMS = {
    ("revert", "resume"): "revert",
    ("revert", "undo"): "revert",
    ("restore", "resume"): "restore",
    ("restore", "undo"): "undo",
}
_ID = re.compile(r"[0-9a-f]{16}")


async def runs(site: Site, request: Request) -> Response:
    """`GET /runs`."""
    left = await site.read(request, lambda _: left_files(resumable_folder()))
    commands = [line for each in left for line in _go_on_lines(site, each)][:NAMED]
    jobs = site.jobs.of_kind("run")
    return site.page(request, "runs.html", jobs=jobs, left=left, folder=str(resumable_folder()), commands=commands)


async def run(site: Site, request: Request) -> Response:
    """`GET /runs/ID`."""
    job = site.job(request.path_params["run"], "run")
    if job.status == RUNNING:
        await site.read(request, lambda _: job.finished.wait(0.5))
    error = None if job.error is None else site.privacy.error(job.error)
    left = await site.read(request, lambda _: _left_of(job)) if job.is_over else None
    return site.page(
        request,
        "run.html",
        table=job.table,
        job=job,
        running=job.status == RUNNING,
        done=job.status == DONE,
        error=error,
        facts=_facts(job.result),
        failures=_failures(site, job.result),
        left=left,
        commands=[job.command] if left is None else _go_on_lines(site, left) or [job.command],
    )


def _go_on_lines(site: Site, left: LeftFile) -> list[str]:
    """Returns the commands that resume a run and take it back."""
    can = {"resume": left.resume, "undo": left.undo}
    return [_go_on_line(site, left.table, left.kind, what, _path(left.kind, what, left.id)) for what in can if can[what]]


def _go_on_line(site: Site, table: str, kind: str, what: str, path: Path) -> str:
    return site.command(kind, table, f"--{what}", str(path))


def _path(kind: str, what: str, which: str) -> Path:
    """Returns the file by which a run is resumed, or undone."""
    return resumable_folder() / f"backstream-{STEMS[kind, what]}-{which}.ndjson"


def _facts(report: Any) -> list[tuple[str, str]]:
    counts: tuple[str, ...]
    if isinstance(report, Reverted):
        counts = ("put", "updated", "deleted", "unchanged", "conflicts", "failed")
    elif isinstance(report, Restored):
        counts = ("put", "deleted", "unchanged", "conflicts", "failed")
    else:
        return []
    words = {"put": "brought back", "updated": "reset", "deleted": "deleted", "unchanged": "already right"}
    return [(words.get(name, name), f"{getattr(report, name):,}") for name in counts] + [("seconds", f"{report.seconds:.1f}")]


def _failures(site: Site, report: Any) -> list[tuple[str, str]]:
    found: list[Failure] = list(report.failures)[:NAMED] if isinstance(report, Reverted | Restored) else []
    return [(values.key_words(each.what.encode()), next(iter(site.privacy.words([each.why])))) for each in found]


def _left_of(job: BackgroundTask) -> LeftFile | None:
    """Returns the file of a run that has ended, by which the run is resumed or undone."""
    report = job.result
    name = report.file if isinstance(report, Reverted) else None
    named = " ".join([name or "", *job.notices])
    return next((each for each in left_files(resumable_folder()) if each.id in named), None)


async def stop(site: Site, request: Request) -> Response:
    """`POST /runs/ID/stop`: the rest stays undone, and can be resumed."""
    job = site.job(request.path_params["run"], "run")
    job.token.set()
    return go_to(addresses.at(f"/runs/{job.id}"))


async def go_on(site: Site, request: Request) -> Response:
    """`POST /runs/left`: resume what an earlier run has left, or take it back."""
    table, kind, left, what = (field(request, name) for name in ("table", "kind", "id", "what"))
    naming.check_table_name(table)
    target = field(request, "target") or table
    check_deed(site, request, Deed(target))
    if _ID.fullmatch(left) is None or kind not in ("revert", "restore") or what not in ("resume", "undo"):
        raise UsageError("this form names no run")
    path = _path(kind, what, left)
    if not path.is_file():
        raise NotFound(f"there is no file {path.name} in {path.parent}", hint="Start the server in the folder of that run.")
    known = await site.read(request, lambda _: left_file(resumable_folder(), kind, left))
    if known is None or (known.table, known.target) != (table, target):
        raise Refused(f"nothing was written: {path.name} is not of a run that writes to {target}", hint="Open Runs again.")
    job = BackgroundTask("run", table, f"{what} {kind} {left}", site.clock, _go_on_line(site, table, kind, what, path))
    site.jobs.start(job, lambda each: _do(site, each, kind, what, path))
    return go_to(addresses.at(f"/runs/{job.id}"))


def _do(site: Site, job: BackgroundTask, kind: str, what: str, path: Path) -> Reverted | Restored:
    backup = site.backup(job.token, job.table)
    if kind == "revert":
        return (
            backup.resume_revert(path, progress=job, notice=job.notice)
            if what == "resume"
            else backup.undo_revert(path, progress=job)
        )
    return backup.resume(path, progress=job, notice=job.notice) if what == "resume" else backup.undo_restore(path, progress=job)
