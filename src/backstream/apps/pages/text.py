"""Text of pages: none of it is read as HTML, and nothing hides in it."""

from __future__ import annotations

import html

from backstream.model.values.visible import visible_line


def escape(text: str) -> str:
    """Returns text for a page, in an element or an attribute."""
    return html.escape(visible_line(text))
