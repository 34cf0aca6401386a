"""The texts in the names of the log's objects."""
