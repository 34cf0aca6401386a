"""Tries whether the disk of a folder tells upper from lower case in names."""

from __future__ import annotations

import secrets
from pathlib import Path

from backstream.stores.directory import DRAFTS


def tells_case(root: Path) -> bool:
    """Returns False if a file can be found by its name in other letters: two names would be one object. It leaves nothing behind.

    Returns True if nothing can be written there: the first write says why.
    """
    drafts = root / DRAFTS
    tried = drafts / f"case-{secrets.token_hex(8)}"
    try:
        drafts.mkdir(mode=0o700, exist_ok=True)
        tried.touch(mode=0o600)
        found = tried.with_name(tried.name.upper()).exists()
        tried.unlink(missing_ok=True)
    except OSError:
        return True
    return not found
