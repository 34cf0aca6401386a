"""Text that may be shown: what would move a cursor, hide, or turn the order of what is read is spelled as `\\uXXXX`.

Data is not ours: an attribute's name, an object's name or an error's text may hold anything. One filter stands at every output.
"""

from __future__ import annotations

import re

# C0, DEL and C1; soft hyphen; direction marks and overrides; characters without a width; line separators; fillers; tags; halves of
# pairs.
_HIDDEN = (
    r"\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
)
_IN_TEXT = re.compile(f"[{_HIDDEN}]")
_IN_LINE = re.compile(f"[\n{_HIDDEN}]")
_PLAIN = re.compile(r"[\n -~]*")
_PLAIN_BYTES = b"\n" + bytes(range(0x20, 0x7F))


def visible(text: str) -> str:
    """Returns the same text with everything visible. Its line breaks stay, because they are this tool's own."""
    return text if _PLAIN.fullmatch(text) else _IN_TEXT.sub(_spelled, text)


def visible_line(text: str) -> str:
    """Returns the same text on one line: its line breaks are escaped, too."""
    return _IN_LINE.sub(_spelled, text)


def visible_json(body: bytes) -> bytes:
    """Returns the same JSON, still valid: characters that must not be shown occur only in its strings, where they are escaped.

    Control characters can only stand between its tokens, where a line feed or a space means the same.
    """
    if not body.translate(None, _PLAIN_BYTES):
        return body
    text = body.decode()
    return _IN_TEXT.sub(lambda found: " " if found[0] in "\t\r" else _spelled(found), text).encode()


def _spelled(found: re.Match[str]) -> str:
    """Returns JSON's escape: beyond the first 65,536 characters a pair."""
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place] << 8 | units[place + 1]:04X}" for place in range(0, len(units), 2))
