"""The library's verbs for typed tables: exports, Iceberg, SQL."""
