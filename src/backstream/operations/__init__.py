"""What an operator can ask for: one module per verb, each a plain library function."""
