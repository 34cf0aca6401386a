"""`group`: names the tables of one application, so that one command is about all of them."""

from __future__ import annotations

from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.cli.each import as_error, of_each, raise_worst
from backstream.apps.cli.options import Json, Vault
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.selection.selecting import tags_of
from backstream.errors import UsageError
from backstream.vault.groups import Group, GroupVersion


def group(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="The group [list all].", show_default=False)] = None,
    tables: Annotated[
        list[str] | None, Argument(metavar="[TABLE...]", help="Its tables from now on [show it].", show_default=False)
    ] = None,
    *,
    vault: Vault = None,
    tag: Annotated[
        list[str] | None,
        Option("--tag", metavar="KEY=VALUE", help="The tables with this tag, whichever they are; repeatable.", show_default=False),
    ] = None,
    at: Annotated[str | None, Option(metavar="MOMENT", help="Show the group as it was.", show_default=False)] = None,
    versions: Annotated[bool, Option("--versions", help="Show every definition of the group, newest first.")] = False,
    remove: Annotated[bool, Option("--remove", help="Remove the group; its tables and its history stay.")] = False,
    json: Json = False,
) -> None:
    """Name the tables of one application, list, show or remove groups. Definitions are kept forever."""
    held, defines = library.open(vault), bool(tables or tag)
    if defines and (at is not None or versions):
        raise UsageError("--at and --versions show a group; tables and tags define one", hint="Do one after the other.")
    if remove and (defines or at is not None or versions):
        raise UsageError("--remove goes with a group's name alone", hint="Do one after the other.")
    if name is None:
        _list(held, json=json, alone=not (tag or at or versions or remove))
    elif remove:
        _show_versions([held.remove_group(name)], json=json)
    elif versions:
        found = held.versions_of_group(name)
        _show_versions(found, json=json)
    else:
        one = held.define_group(name, tables or (), tags=tags_of(tag or ())) if defines else held.group(name, at=at)
        _show(one, json=json)


def _list(held: library.Vault, *, json: bool, alone: bool) -> None:
    if not alone:
        raise UsageError("no group is named", hint="backstream group NAME ...")
    found, broken = of_each(held.groups(), held.group)
    if json:
        as_json([*found.values(), *({"name": name, "error": as_error(error)} for name, error in broken.items())])
    elif found:
        as_facts([(name, _members(each)) for name, each in found.items()])
    elif not broken:
        notice(f"the vault {held.url} holds no group yet: backstream group NAME TABLE...")
    raise_worst(broken.values())


def _show(one: Group, *, json: bool) -> None:
    if json:
        as_json(one)
    else:
        as_facts([("group", one.name), ("tables", _members(one)), ("since", one.saved)])


def _show_versions(found: list[GroupVersion], *, json: bool) -> None:
    if json:
        as_json(found)
    else:
        as_facts([(each.saved, _said(each)) for each in found])


def _said(each: GroupVersion) -> str:
    if each.unreadable:
        return f"UNREADABLE: {each.unreadable}"
    return "removed" if each.removed else _members(each)


def _members(one: Group | GroupVersion) -> str:
    if one.tables:
        return " ".join(one.tables)
    return "those tagged " + ", ".join(f"{key}={value}" for key, value in one.tags.items())
