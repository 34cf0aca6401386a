"""Plans: made in the background, shown a page at a time, downloaded as the file that the command applies, and carried out."""

from __future__ import annotations

import shutil
from array import array
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.apps.verbs.arguments import resumable_folder
from backstream.apps.web import command_lines
from backstream.apps.web.background.jobs import BackgroundTask
from backstream.apps.web.selection import ChangeFilters
from backstream.apps.web.site import Site
from backstream.errors import Failed, UsageError
from backstream.model.changes.merge import Merge
from backstream.operations.restore import Restored
from backstream.operations.revert import OnConflict, PlanRow, Reverted
from backstream.operations.revert.applying import plan_path_for

SIZE = 40
_rows = msgspec.json.Decoder(PlanRow)


class PlanWish(msgspec.Struct, frozen=True):
    """The request of a plan: the selected changes after `since`, up to `until` (`now` for all since then)."""

    table: str
    since: str
    until: str
    chosen: ChangeFilters
    merge: Merge = Merge.ATTRIBUTES
    on_conflict: OnConflict = OnConflict.SKIP
    allow_gap: bool = False

    @property
    def words(self) -> list[str]:
        """Returns the arguments of the command."""
        words = ["revert", self.table, *command_lines.window(self.since, self.until), *command_lines.filters(self.chosen)]
        words += [] if self.merge is Merge.ATTRIBUTES else ["--merge", self.merge]
        words += [] if self.on_conflict is OnConflict.SKIP else ["--on-conflict", self.on_conflict]
        return [*words, "--allow-gap"] if self.allow_gap else words


class RestoreWish(msgspec.Struct, frozen=True):
    """The request to restore a state into a new table."""

    table: str
    at: str
    to: str
    allow_gap: bool = False

    @property
    def words(self) -> list[str]:
        """Returns the arguments of the command."""
        words = ["restore", self.table, "--at", self.at, "--to", self.to]
        return [*words, "--allow-gap"] if self.allow_gap else words


class PlanFile(msgspec.Struct, frozen=True):
    """A finished plan. `report`: its effect; `offsets`: the begin of each row's line, and the end of the last one."""

    path: Path
    id: str
    report: Reverted
    offsets: array[int]

    @property
    def rows(self) -> int:
        """The number of items that it writes or leaves alone."""
        return len(self.offsets) - 1


def plan(site: Site, wish: PlanWish, job: BackgroundTask) -> PlanFile:
    """Makes a plan of a revert. It writes only the plan's file, in a folder that is deleted with the server."""
    site.vault(job.token, wish.table)  # whose items may be shown
    path = site.folder.path / f"plan-{job.id}.ndjson"
    backup, chosen = site.backup(job.token, wish.table), wish.chosen
    criteria = chosen.criteria(site.vault(job.token, wish.table), site.privacy)
    made = backup.plan_revert(
        path,
        from_=wish.since,
        to=wish.until,
        keys=[key.decode() for key in criteria.keys],
        partition=criteria.partition,
        tenant=criteria.tenant,
        where=criteria.where,
        events=criteria.events,
        actor=criteria.actor,
        attributes=criteria.attributes,
        merge=wish.merge,
        on_conflict=wish.on_conflict,
        allow_gap=wish.allow_gap,
        progress=job,
    )
    return PlanFile(path, made.id, made.report, _offsets(path))


def _offsets(path: Path) -> array[int]:
    """Returns the offsets of the rows' lines: all but the first line, the counts and the digest."""
    starts, place = array("q"), 0
    with path.open("rb") as file:
        for line in file:
            starts.append(place)
            place += len(line)
    return starts[1:-1]


def page(made: PlanFile, first: int) -> list[PlanRow]:
    """Returns a page of a plan's rows, from a number on."""
    last = min(first + SIZE, made.rows)
    if first >= last:
        return []
    with made.path.open("rb") as file:
        file.seek(made.offsets[first])
        body = file.read(made.offsets[last] - made.offsets[first])
    return [_rows.decode(line) for line in body.splitlines()]


def run(site: Site, wish: PlanWish, made: PlanFile, expect_deletes: int | None, job: BackgroundTask) -> Reverted:
    """Executes a plan exactly. Its file and journal stay in the server's folder, to resume or undo it."""
    path = plan_path_for(made.id, resumable_folder())
    if not path.exists():
        _keep(made.path, path)
    backup = site.backup(job.token, wish.table)
    return backup.apply_plan(path, expect_deletes=expect_deletes, progress=job, notice=job.notice)


def _keep(made: Path, path: Path) -> None:
    try:
        with made.open("rb") as source, private_files.create(path) as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        raise Failed(
            f"the plan cannot be kept in {path}: {error.strerror}", hint="Make room, or start the server elsewhere."
        ) from error


def try_restore(site: Site, wish: RestoreWish, job: BackgroundTask, *, dry_run: bool) -> Restored:
    """Restores a state into a new table, or only shows the plan. Raises UsageError if the target is the table itself."""
    site.vault(job.token, wish.table)
    if wish.to == wish.table:
        raise UsageError("that is the table itself", hint="To change it in place, plan to take changes back up to now.")
    return site.backup(job.token, wish.table).restore(
        at=wish.at, to=wish.to, dry_run=dry_run, allow_gap=wish.allow_gap, progress=job, notice=job.notice
    )
