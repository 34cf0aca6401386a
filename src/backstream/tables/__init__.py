"""DynamoDB tables and their streams, spoken to in raw DynamoDB JSON."""
