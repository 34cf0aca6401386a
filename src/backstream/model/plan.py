"""Decides the action of a restore on one item, from its state at the moment and its live state, before anything is touched."""

from __future__ import annotations

import enum

from backstream.model.values import wire


class Action(enum.Enum):
    """The action on an item: PUT the old image, DELETE the live item, or leave it ALONE because it is unchanged."""

    PUT = "put"
    DELETE = "delete"
    ALONE = "unchanged"


def decide(then: bytes | None, live: bytes | None) -> Action:
    """Decides from the image at the moment (`then`) and the image now (`live`); None if the item does not exist.

    Raises Damaged if one is not an image.
    """
    if then is None:
        return Action.ALONE if live is None else Action.DELETE
    if live is not None and wire.same_image(then, live):
        return Action.ALONE
    return Action.PUT
