"""The changes of a window: counted, listed, and drawn over time."""
