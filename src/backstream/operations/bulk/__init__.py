"""Many reads and writes of a table: rates, progress, journals."""
