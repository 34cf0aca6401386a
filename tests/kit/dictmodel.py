"""The plain model that Backstream is measured against: what was done to a table, in order, and nothing clever."""

from __future__ import annotations


class DictModel:
    """A list of what was done when; the state at a second comes from doing it all again up to there."""

    def __init__(self) -> None:
        self._done: list[tuple[int, bytes, bytes | None]] = []

    def set(self, second: int, key: bytes, image: bytes | None) -> None:
        """In that second the item with this canonical key became `image`, or was deleted (None). Seconds never go back."""
        self._done.append((second, key, image))

    def at(self, second: int) -> dict[bytes, bytes]:
        """All items at the end of that second."""
        state: dict[bytes, bytes] = {}
        for when, key, image in self._done:
            if when > second:
                break
            if image is None:
                state.pop(key, None)
            else:
                state[key] = image
        return state
