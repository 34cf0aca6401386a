"""Tries whether the disk of a folder tells upper from lower case in names."""

from __future__ import annotations

import secrets
from pathlib import Path

from backstream.stores.directory import DRAFTS


def tells_case(root: Path) -> bool:
    """Returns False if a file can be found by its name in other letters: two names would be one object. It leaves nothing behind.

    Raises OSError if the folder cannot be written.
    """
    drafts = root / DRAFTS
    drafts.mkdir(mode=0o700, exist_ok=True)
    tried = drafts / f"case-{secrets.token_hex(8)}"
    tried.touch(mode=0o600)
    try:
        return not tried.with_name(tried.name.upper()).exists()
    finally:
        tried.unlink(missing_ok=True)
