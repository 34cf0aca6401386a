"""A hook of the docs' site: pages that mkdocs.yml does not list yet, and the notes, get their places by themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

MOVED = "# Moved"


def on_config(config: Any) -> Any:
    """Adds every page of docs/ that the navigation lacks to its section "More", and every note to "Internals"."""
    docs = Path(config["docs_dir"])
    listed = set(re.findall(r"[\w/-]+\.md", str(config["nav"])))
    more = [each.name for each in sorted(docs.glob("*.md")) if each.name not in listed and not each.read_text().startswith(MOVED)]
    if more:
        config["nav"].append({"More": more})
    notes = [f"notes/{each.name}" for each in sorted((docs / "notes").glob("0*.md"))]
    internals = next(each["Internals"] for each in config["nav"] if "Internals" in each)
    internals.append({"All decisions": notes})
    return config
