"""`sql`: a table's history in SQL. DuckDB computes; Backstream's own readers give it the rows, through Arrow."""
