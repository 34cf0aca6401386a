"""`retain`: moves the horizon of a table's history, and removes what only older moments need.

`choosing` finds the second that may become the horizon; `state` writes the table's state at that second as a base backup; `rows`
and `own_objects` find what is not needed any more; `shortening` takes old lines out of compacted sets; `sweep` removes, and
respects locks; `run` does it in this order: the state is durable, the horizon is published, and only then something is removed. So
an interruption anywhere leaves a vault that is right, and the next run goes on.
"""

from backstream.operations.retain.report import Retention
from backstream.operations.retain.run import RetainContext, retain

__all__ = ["RetainContext", "Retention", "retain"]
