"""Calls of DynamoDB as CloudTrail records them, and whose they were."""
