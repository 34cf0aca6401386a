"""Gaps: the changes that are known to be missing, and those that have arrived since."""
