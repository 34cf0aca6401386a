"""`compact`: many small objects of the log and of base backups become few large ones, in which the lines of a key lie together.

`plan` decides what to merge, and what must stay; `lines` reads and sorts; `run` writes, puts in force, and then hides what is taken
over. Nothing is hidden before what stands for it is durable and in force, so an interruption anywhere leaves either the old or the
new to be read; the next run goes on from there.
"""

from backstream.operations.base.compact.run import Compaction, compact

__all__ = ["Compaction", "compact"]
