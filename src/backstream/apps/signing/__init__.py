"""The keys that sign a vault, and those that verify it."""
