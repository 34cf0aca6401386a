"""The common parts of the Lambda handlers: an invocation's time, its log lines and figures."""
