"""`erase`: removes a subject from all of a table's history, and proves it.

`survey` finds the subject; `run` gives the order; `log_rewriter`, `base_rewriter` and `redacting` write anew what others share;
`sweeping`, `row_objects` and `removing` remove what is left; `verifying` searches everything again. See docs/notes/0052.
"""

from backstream.operations.erase.report import Blocked, Erased, ErasureVerified, FoundAgain, NotErased
from backstream.operations.erase.request import EraseContext, EraseRequest
from backstream.operations.erase.run import erase
from backstream.operations.erase.verifying import verify_erasure

__all__ = [
    "Blocked",
    "EraseContext",
    "EraseRequest",
    "Erased",
    "ErasureVerified",
    "FoundAgain",
    "NotErased",
    "erase",
    "verify_erasure",
]
