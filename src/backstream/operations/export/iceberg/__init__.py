"""`export --format iceberg`: appends changes to an Iceberg table, exactly once."""
