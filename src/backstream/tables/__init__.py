"""DynamoDB tables and their streams, over raw DynamoDB JSON."""
