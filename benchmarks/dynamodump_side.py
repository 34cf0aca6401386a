"""dynamodump's side, run by an interpreter of its own: it pins another boto3 than the embedded servers' botocore allows.

Nothing is imported here but the standard library, `measure` and dynamodump itself.
"""

from __future__ import annotations

import sys

from benchmarks.measure import measured, tell

if __name__ == "__main__":
    from dynamodump import dynamodump

    items, *sys.argv[1:] = sys.argv[1:]
    tell(measured(dynamodump.main, int(items)))
