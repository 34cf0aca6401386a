"""The calls that made the changes: CloudTrail's files, and the findings of `blame`."""
