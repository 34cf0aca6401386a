"""An item: its versions side by side."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.verbs.arguments import key_of
from backstream.apps.web import command_lines, differences, values
from backstream.apps.web.access.privacy import ShownValue
from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.certain import state_has_gap
from backstream.apps.web.screens.plan import form_url
from backstream.apps.web.selection import ChangeFilters
from backstream.apps.web.site import Site, asked, count_in, field, go_to
from backstream.errors import NotFound
from backstream.operations.inspect.history_page import HistoryPage, NumberedVersion, PageAsked, page
from backstream.vault.table_vault import TableVault

COLUMNS = 12  # versions side by side
MOST = 10**9


class VersionColumn(msgspec.Struct, frozen=True):
    """One version. `number`: from 1, the oldest; `cells`: value and change, by attribute; `exists`: not deleted.

    `lost`: True if its image cannot be read, so that only its time is shown; `compared`: True if a version before it is
    known, or there is none; `plan`: the address of a plan that goes back to it; empty for the newest.
    """

    number: int
    time: str
    event: str
    actors: list[str]
    sequence: str
    exists: bool
    lost: bool
    compared: bool
    cells: dict[str, tuple[str, str]]
    changed: list[str]
    json: str
    plan: str


class Versions(msgspec.Struct, frozen=True):
    """Some of an item's versions, oldest first. `first`: the number of the first one; `total`: the number of all."""

    names: list[str]
    columns: list[VersionColumn]
    first: int
    total: int


async def find(site: Site, request: Request) -> Response:
    """`POST /t/TABLE/item`: to the screen of the item with the key in a form, which a private vault's addresses do not hold."""
    name = request.path_params["table"]
    key = await site.read(request, lambda token: key_of(site.vault(token, name), field(request, "key")))
    return go_to(site.privacy.item_url(name, key))


async def item(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/item?key=KEY`, or `?k=ID` where keys are private."""
    name, typed = request.path_params["table"], asked(request, "json") == "dynamodb"

    wanted = PageAsked(count_in(asked(request, "upto"), MOST), count_in(asked(request, "after"), MOST), asked(request, "of"))

    def read(token: StopToken) -> tuple[bytes, HistoryPage, Versions, bool]:
        vault, now = site.vault(token, name), site.clock.now()
        key = _key(site, vault, request)
        found = page(vault, key, wanted, COLUMNS, now=now, allow_gap=True)
        return key, found, versions(site, vault, key, found, typed=typed), state_has_gap(vault, int(now), now)

    key, found, shown, gap = await site.read(request, read)
    told, here = found.told, site.privacy.item_url(name, key)
    more = "&json=dynamodb" if typed else ""
    last = found.versions[-1] if found.versions else None
    return site.page(
        request,
        "item.html",
        table=name,
        key=values.key_words(key),
        raw=key.decode(),
        shown=shown,
        typed=typed,
        notes=site.privacy.words(told.notes),
        unread=site.privacy.words([*told.unread, *(each.lost for each in found.versions if each.lost)]),
        nothing=told.nothing_of("this item"),
        here=here,
        other=f"{here}{'' if typed else '&json=dynamodb'}&upto={last.number}&of={last.mark}" if last else "",
        older=f"{here}{more}&upto={shown.first - 1}&of={found.mark_before}" if shown.first > 1 else "",
        newer=f"{here}{more}&after={last.number}&of={last.mark}" if last and last.number < shown.total else "",
        commands=[
            site.command("history", name, key.decode(), "--diff", *command_lines.allow_gap(needed=bool(told.unread))),
            site.command("show", name, key.decode(), "--at", "now", *command_lines.allow_gap(needed=gap or bool(told.unread))),
        ],
    )


def _key(site: Site, vault: TableVault, request: Request) -> bytes:
    if site.settings.private:
        if not asked(request, "k"):
            raise NotFound("this address names no item", hint="Keys do not stand in addresses here: look the item up in its table.")
        return key_of(vault, site.privacy.recall(asked(request, "k")))
    return key_of(vault, asked(request, "key"))


def versions(site: Site, vault: TableVault, key: bytes, found: HistoryPage, *, typed: bool) -> Versions:
    """Returns the versions of a page, each with its changes since the last one before it that can be read."""
    before = None if found.before is None else site.privacy.attributes(found.before)
    alone = ChangeFilters(keys=(key.decode(),))
    columns, names = list[VersionColumn](), dict.fromkeys(before or {})
    for each in found.versions:
        after = None if each.lost else site.privacy.attributes(bytes(each.version.image))
        names |= dict.fromkeys(after or {})
        plan = "" if each.number == found.total or each.lost else form_url(site, vault.catalog.table, each.version.time, alone)
        columns.append(_column(site, vault, each, before, after, plan=plan, typed=typed))
        before = before if after is None else after
    keys = [each for each in vault.catalog.key_schema.names if each in names]
    first = found.versions[0].number if found.versions else 1
    return Versions([*keys, *sorted(each for each in names if each not in keys)], columns, first, found.total)


def _cell(before: ShownValue | None, after: ShownValue | None, kind: str) -> str:
    return values.changed_cells(before, after)[1] if kind == differences.CHANGED else values.cell(after)


def _column(
    site: Site,
    vault: TableVault,
    numbered: NumberedVersion,
    before: dict[str, ShownValue] | None,
    after: dict[str, ShownValue] | None,
    *,
    plan: str,
    typed: bool,
) -> VersionColumn:
    version = numbered.version
    shown = after or {}
    earlier = shown if before is None else before if after is not None else {}
    kinds = {name: differences.kind_of(earlier.get(name), shown.get(name)) for name in {**earlier, **shown}}
    claims = site.privacy.claims(vault.catalog, version.actors)
    exists = after is not None and bytes(version.image) != b"null"
    return VersionColumn(
        number=numbered.number,
        time=version.time,
        event=version.event,
        actors=[f"{each.actor} ({each.source}{'' if each.settled else ', not settled'})" for each in claims],
        sequence=version.sequence or "",
        exists=exists,
        lost=after is None,
        compared=before is not None or after is None,
        cells={name: (_cell(earlier.get(name), shown.get(name), kind), kind) for name, kind in kinds.items()},
        changed=sorted(name for name, kind in kinds.items() if kind != differences.SAME),
        json=values.document(shown, typed=typed) if exists else "",
        plan=plan,
    )
