"""Filters of segments: which of them hold no line of an item, without reading them."""
