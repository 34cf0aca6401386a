"""DynamoDB values: JSON as bytes, numbers, keys, digests, sizes and limits."""
