"""What the Lambda handlers share: an invocation's time, its log lines and figures."""
