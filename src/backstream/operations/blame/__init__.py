"""`blame`: finds the principal that made each change, from CloudTrail's data events."""

from backstream.operations.blame.report import Blamed, BlameFinding, Outcome, UnreadableFile
from backstream.operations.blame.run import BlameContext, BlameRequest, blame

__all__ = ["BlameContext", "BlameFinding", "BlameRequest", "Blamed", "Outcome", "UnreadableFile", "blame"]
