"""The mark of a text that holds a whole item where a key is meant. It is apart from its reader: `--help` needs nothing else."""

from __future__ import annotations


class ItemText(str):
    """The JSON of a whole item, from which only the key attributes count."""

    __slots__ = ()
