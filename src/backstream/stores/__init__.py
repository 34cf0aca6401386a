"""Where objects are kept: S3, a local directory, memory; and wrappers around any of them."""
