"""What a restore does to one item: decided from its state at the moment and its live state, before anything is touched."""

from __future__ import annotations

import enum

from backstream.model.values import wire


class Action(enum.Enum):
    """PUT the image of then; DELETE the live item; or leave it ALONE, since it is as it was."""

    PUT = "put"
    DELETE = "delete"
    ALONE = "unchanged"


def decide(then: bytes | None, live: bytes | None) -> Action:
    """`then`: the image at the moment, `live`: the image now; None where the item does not exist. Damaged if one is no image."""
    if then is None:
        return Action.ALONE if live is None else Action.DELETE
    if live is not None and wire.same_image(then, live):
        return Action.ALONE
    return Action.PUT
