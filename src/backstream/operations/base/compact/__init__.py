"""`compact`: merges many small objects of the log and of base backups into few large ones, which keep the lines of a key together.

`plan` decides what to merge, and what must stay; `lines` reads and sorts; `run` writes, puts in force, and then hides the sources.
With executors, `spread` does the reading, sorting and writing there.
Nothing is hidden before its replacement is durable and in force, so an interruption anywhere leaves either the old or the new
objects; the next run continues from there.
"""

from backstream.operations.base.compact.run import Compaction
from backstream.operations.base.compact.start import compact, settle

__all__ = ["Compaction", "compact", "settle"]
