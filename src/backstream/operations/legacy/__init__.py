"""Takes over buckets that older tools have written."""
