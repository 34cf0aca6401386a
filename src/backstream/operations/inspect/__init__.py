"""Look into a vault: its window, an item's history, and whether its objects are sound."""
