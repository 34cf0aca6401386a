"""The change log: segments, their chains, and the sets that a compaction makes of them."""
