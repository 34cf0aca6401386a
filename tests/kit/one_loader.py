"""All botocore sessions of a test process read AWS's service models once, and together.

Each in-process command makes a session of its own, as a process of its own would. Without this each would read the same JSON files
again: 0.2 s of processor time. Import this module before a session is made.
"""

from __future__ import annotations

import functools

import botocore.session

botocore.session.create_loader = functools.cache(botocore.session.create_loader)
