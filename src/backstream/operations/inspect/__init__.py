"""Looks into a vault: its window, an item's history, and the soundness of its objects."""
