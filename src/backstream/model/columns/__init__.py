"""Typed columns of a table's items: their names, their schema, and the values that an item has in them."""
