"""Take over buckets that older tools have written."""
