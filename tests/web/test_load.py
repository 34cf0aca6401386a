"""Twenty users browse a vault of ten million changes for a minute, against the real server over HTTP.

Times are printed and not judged: other tests run beside this one. `make web-load` tells them alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backstream.stores.directory import DirectoryStore
from kit import compacted_vault, web_load
from kit.clock import ManualClock

SECONDS = 60.0
GROWTH = 200e6  # bytes of memory that twenty users may take


@pytest.mark.soak
@pytest.mark.timeout(3_600)  # the vault takes some minutes
def test_twenty_users_browse_ten_million_changes(tmp_path: Path) -> None:
    made = compacted_vault.write(DirectoryStore(tmp_path, ManualClock(compacted_vault.BEGAN)))
    with web_load.running(tmp_path) as server:
        figures = web_load.browse(server, made.items, SECONDS)
        single = web_load.alone(server, made.items, 50)
    sys.stdout.write(web_load.told(figures, single))
    assert figures.failed == []
    assert len(figures.items) > web_load.USERS
    assert figures.memory - figures.memory_before <= GROWTH
