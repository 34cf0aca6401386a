"""Read whole tables into base backups, and keep the log in large objects."""
