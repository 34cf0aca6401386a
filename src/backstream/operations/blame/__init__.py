"""`blame`: which principal made each change, by CloudTrail's data events."""

from backstream.operations.blame.report import Blamed, Finding, Outcome, Unreadable
from backstream.operations.blame.run import Around, Asked, blame

__all__ = ["Around", "Asked", "Blamed", "Finding", "Outcome", "Unreadable", "blame"]
