"""Selections of tables: several names, `--all`, `--match GLOB`, `--tag KEY=VALUE`, `--group NAME[@MOMENT]`. The one place that
resolves them.

A table of the vault is one that the vault holds anything of. `ACCOUNT` selects among the live tables of the account instead: for
commands that begin with a table, such as `init`.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from backstream.apps.config import Config
from backstream.apps.selection.table_selection import TableSelection
from backstream.errors import BackstreamError, MissingTable, NotFound, Refused, UnknownTags, UsageError
from backstream.model import moment_arguments
from backstream.model.tables.naming import check_table_name
from backstream.vault import catalog as catalogs
from backstream.vault import groups, table_folders
from backstream.vault.groups import Group


class Among(enum.Enum):
    """The tables that a selection selects from."""

    VAULT = "the vault"
    ACCOUNT = "the account"


def select(config: Config, asked: TableSelection, among: Among = Among.VAULT, *, unknown_too: bool = False) -> list[str]:
    """Returns the selected tables, each once. Names keep their order; all others are in the order of their names.

    Nothing given: all tables of the vault. `unknown_too`: where tags select, also a table whose tags cannot be read. That is for
    what only captures or proves: one broken catalog must not end it for all, and fails in its own turn. Raises NotFound if a name
    or a group is unknown, or if nothing matches; UsageError if the selection is none; Refused for a group where only signed objects
    are trusted.
    """
    asked.check()
    if asked.names:
        return _known(config, asked.names, among)
    if asked.groups:
        of_each = (members(config, group_of(config, each), among, unknown_too=unknown_too) for each in asked.groups)
        return list(dict.fromkeys(itertools.chain.from_iterable(of_each)))
    if asked.match:
        return _matching(config, asked.match, among)
    if asked.tags:
        return _tagged(config, tags_of(asked.tags), among, unknown_too=unknown_too)
    found = table_folders.folders(config.store)
    if asked.every and not found:
        raise NotFound(f"the vault {config.url} holds no table", hint="Run `backstream init TABLE` first.")
    return found


def group_of(config: Config, text: str) -> Group:
    """Returns the group `NAME`, or the group as it was: `NAME@MOMENT`."""
    name, at_sign, at = text.partition("@")
    second = moment_arguments.parse(at, config.clock.now()) if at_sign else None
    if config.keys.verifies:
        raise Refused(
            f"the group {name} is not signed: anyone who may write into the vault may change it",
            hint="Where only signed objects are trusted, name the tables themselves.",
        )
    return groups.load(config.store, name, second)


def members(config: Config, group: Group, among: Among = Among.VAULT, *, unknown_too: bool = False) -> list[str]:
    """Returns the tables of a group. Raises NotFound if the vault does not know one of them, or if no table has its tags.

    `among`: the tables whose tags are looked at, so that `init` finds those that the vault does not know yet. `unknown_too`: see
    `select`.
    """
    if group.tables:
        return _known(config, group.tables, Among.VAULT, of=f" of the group {group.name!r}")
    return _tagged(config, dict(group.tags), among, unknown_too=unknown_too)


def tags_of(words: Iterable[str]) -> dict[str, str]:
    """Returns the tags in `KEY=VALUE` words. Raises UsageError if one is not such a word, or if two contradict each other."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"not a tag: {word!r}", hint="Write KEY=VALUE, e.g. app=shop.")
        if found.setdefault(key, value) != value:
            raise UsageError(f"no table has the tag {key!r} twice: {found[key]!r} and {value!r}")
    return found


def _known(config: Config, names: Iterable[str], among: Among, of: str = "") -> list[str]:
    """Returns these names, each once. Raises NotFound for one of several that is not there, before any is touched."""
    found = list(dict.fromkeys(names))
    for name in found:
        check_table_name(name)
    if among is Among.ACCOUNT and len(found) > 1:
        _check_live(config, found)
    if among is Among.VAULT and (len(found) > 1 or of):
        for name in found:
            if not catalogs.is_lost(config.store, name):  # nothing of it is there, with a catalog or without
                hint = table_folders.others(config.store, name)
                raise NotFound(f"the vault {config.url} does not know the table {name!r}{of}", hint=hint)
    return found


def _check_live(config: Config, names: Iterable[str]) -> None:
    """Raises MissingTable for a table that does not exist. Any other error is told in the table's turn, and hides no other."""
    for name in names:
        try:
            config.table(name).facts()
        except MissingTable:
            raise
        except BackstreamError:
            continue


def _matching(config: Config, patterns: Iterable[str], among: Among) -> list[str]:
    universe = _universe(config, among)
    found = [name for name in universe if any(fnmatchcase(name, each) for each in patterns)]
    if not found:
        raise NotFound(f"no table of {among.value} matches {' or '.join(map(repr, patterns))}", hint=_held(universe, among))
    return found


def _tagged(config: Config, wanted: Mapping[str, str], among: Among, *, unknown_too: bool) -> list[str]:
    def carries(name: str) -> bool:
        try:
            return wanted.items() <= _tags(config, name, among).items()
        except UnknownTags:
            if unknown_too:
                return True
            raise

    universe = _universe(config, among)
    found = list(filter(carries, universe))
    if not found:
        said = ", ".join(f"{key}={value}" for key, value in wanted.items())
        seen = " as the vault has last seen its tags" if among is Among.VAULT else ""
        raise NotFound(f"no table of {among.value} is tagged {said}{seen}", hint=_held(universe, among))
    return found


def _universe(config: Config, among: Among) -> list[str]:
    return sorted(config.table_names()) if among is Among.ACCOUNT else table_folders.folders(config.store)


def _tags(config: Config, name: str, among: Among) -> Mapping[str, str]:
    """Returns a table's tags. The vault knows those that `init` or the tail has seen last: a table may be gone by now."""
    if among is Among.ACCOUNT:
        try:
            return config.tags(name)
        except MissingTable:
            return {}  # deleted since it was listed
    try:
        return catalogs.settings_of(catalogs.load(config.store, name)).tags
    except BackstreamError as error:
        raise UnknownTags(
            f"the tags of {name} are not known: {error.message}", hint="Name the tables, or mend this one first."
        ) from error


def _held(universe: list[str], among: Among) -> str:
    if not universe:
        return f"{among.value[0].upper()}{among.value[1:]} holds no table."
    rest = f" and {len(universe) - table_folders.MOST_NAMED} more" if len(universe) > table_folders.MOST_NAMED else ""
    return f"{among.value[0].upper()}{among.value[1:]} holds {', '.join(map(repr, universe[: table_folders.MOST_NAMED]))}{rest}."
