"""The demo's last line says how to open the screens, as a reader of this very terminal can."""

from __future__ import annotations

import shutil
import sys

import pytest

from backstream.apps.demo import story


@pytest.mark.parametrize(
    ("called", "on_the_path", "said"),
    [
        (".venv/bin/backstream", None, ".venv/bin/backstream"),
        ("/usr/local/bin/backstream", "/usr/local/bin/backstream", "backstream"),
        ("/lib/backstream/__main__.py", None, f"{sys.executable} -m backstream"),
    ],
)
def test_the_command_is_the_one_that_was_called(
    called: str, on_the_path: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "demo"])
    monkeypatch.setattr(shutil, "which", lambda _: on_the_path)
    assert story.own_command() == said
