"""A selection of tables as it is written: several names, `--all`, `--match`, `--tag`, `--group`. `selecting` resolves it."""

from __future__ import annotations

from dataclasses import dataclass

from backstream.errors import UsageError


@dataclass(frozen=True)
class TableSelection:
    """A selection as it was written. Only one way of selecting is given; none: everything, where a command allows that.

    `every`: all tables of the vault; `match`: patterns of names; one of them has to match; `tags`: `KEY=VALUE`; all of them must
    be there; `groups`: `NAME`, or `NAME@MOMENT` for a group as it was then.
    """

    names: tuple[str, ...] = ()
    every: bool = False
    match: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def single(self) -> str | None:
        """The table, if exactly one is named by its name; None for every other selection."""
        return self.names[0] if len(self.names) == 1 and self.is_given and len(self._ways()) == 1 else None

    @property
    def is_given(self) -> bool:
        """True if anything is selected."""
        return bool(self._ways())

    @property
    def words(self) -> list[str]:
        """The words of the command line that select the same."""
        options = (("--match", self.match), ("--tag", self.tags), ("--group", self.groups))
        named = [word for option, values in options for value in values for word in (option, value)]
        return [*self.names, *(["--all"] if self.every else []), *named]

    def _ways(self) -> list[str]:
        ways = {"names": self.names, "--all": self.every, "--match": self.match, "--tag": self.tags, "--group": self.groups}
        return [name for name, value in ways.items() if value]

    def check(self) -> None:
        """Raises UsageError if tables are selected in two ways at once: nothing says whether one or both must hold."""
        if len(self._ways()) > 1:
            raise UsageError(f"{' and '.join(self._ways())} exclude each other", hint="Select tables in one way at a time.")
