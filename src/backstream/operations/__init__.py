"""The operations of the tool: one module per verb, each a plain library function."""
