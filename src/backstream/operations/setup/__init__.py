"""Sets up a vault for a table, and checks the identity of the table."""
