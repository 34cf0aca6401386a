"""A time machine for DynamoDB."""

__version__ = "0.1.0"
