"""Changes and items as typed tables: Arrow batches for `export` and `sql`. It needs pyarrow, so nothing imports it at a start."""
