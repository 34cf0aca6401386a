"""Passes over segments that hold no line of some items: a HEAD in place of a GET, and nothing to decompress and to parse."""

from __future__ import annotations

from collections.abc import Collection

from backstream.ports import ObjectStore, Vouching
from backstream.vault.log.filters import filter_metadata, key_filter
from backstream.vault.log.links import Links
from backstream.vault.log.log import ChangeLog, LogListing, linked

MOST_KEYS = 16  # of more items nearly every segment seems to hold one
TRIED = 16  # segments without a filter, beyond those with one: then an older version has written them, and nobody asks on


class SegmentFilters:
    """Asks for the filters of segments, from any thread. `links` notes each segment that is passed over, as if it had been read."""

    def __init__(self, log: ChangeLog, store: ObjectStore, links: Links, keys: Collection[bytes]) -> None:
        self._log = log
        self._links = links
        self._keys = keys
        self._may_ask = len(keys) <= MOST_KEYS and not isinstance(store, Vouching)  # a signature is of all bytes: they are read
        self._balance = TRIED

    def rule_out(self, listed: LogListing) -> bool:
        """Returns True if a segment holds no line of any of the items: a request, if it is large enough to have a filter.

        Raises the errors of the store.
        """
        if listed.segment is None or listed.markers or listed.size < filter_metadata.LEAST_SIZE:
            return False
        if not self._may_ask or self._balance <= 0:
            return False
        said = self._log.metadata(listed)
        text, body = said.get(filter_metadata.FILTER, ""), said.get(filter_metadata.BODY, "")
        self._balance = min(TRIED, self._balance + 1) if text and body else self._balance - 1
        if not text or not body or any(key_filter.may_hold(text, key) for key in self._keys):
            return False
        run, link = linked(listed.name, listed.segment, said, body)
        self._links.extend([] if run is None else [run], [] if link is None else [link])
        return True
