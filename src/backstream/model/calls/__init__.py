"""DynamoDB's calls as CloudTrail records them, and their callers."""
