"""`export`: changes or a state as typed tables, in Parquet files or in an Iceberg table, and back."""
