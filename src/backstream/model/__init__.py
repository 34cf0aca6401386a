"""The pure core: DynamoDB JSON, keys, changes, moments, names, the fold and the plan. No I/O, no clock, no randomness."""
