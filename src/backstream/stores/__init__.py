"""The stores of objects: S3, a local directory, memory; and wrappers around any of them."""
