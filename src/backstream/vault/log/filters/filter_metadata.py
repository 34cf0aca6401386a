"""The metadata by which a reader passes a segment over: its filter, and the SHA-256 of its bytes, from which its head follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backstream.vault.log.filters import key_filter

FILTER, BODY = "filter", "sha256"
OF_LINES = (FILTER, BODY)  # metadata that nobody may copy to other bytes
LEAST_SIZE = 8 << 10  # bytes of a segment; a smaller one is read as cheaply as its metadata
MOST_SAID = 1_300  # characters of all metadata: S3 takes 2 KB, of which the longest signature needs 700


def with_filter(said: Mapping[str, str], size: int, digest: str, keys: Iterable[bytes]) -> dict[str, str]:
    """Returns a segment's metadata with a filter, if it is large enough and there is room.

    `size`, `digest`: of its bytes, and their SHA-256 in hex; `keys`: the canonical key of each line.
    """
    if size < LEAST_SIZE:
        return dict(said)
    taken = sum(len(name) + len(text) for name, text in [*said.items(), (BODY, digest), (FILTER, "")])
    text = key_filter.text_of(set(keys), MOST_SAID - taken)
    return {**said, BODY: digest, FILTER: text} if text else dict(said)
