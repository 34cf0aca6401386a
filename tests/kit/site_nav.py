"""A hook of the docs' site: pages that mkdocs.yml does not list yet, and the notes, get their places by themselves.

A link to a file of the repository outside of docs/ leads somewhere on GitHub, and nowhere on the site: there it is the file's name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

MOVED = "# Moved"
LINK = re.compile(r"\[([^\]]+)\]\(([^):#]+)\)")


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


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Returns a page's text without links to files outside of docs/."""
    folder = posixpath.dirname(page.file.src_uri)

    def told(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        return f"{link[1]} (`{target.removeprefix('../')}`)" if target.startswith("../") else link[0]

    return LINK.sub(told, markdown)
