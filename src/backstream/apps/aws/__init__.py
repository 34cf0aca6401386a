"""The connections of one process to AWS: clients, places in URLs, and the owners of buckets."""
