"""`make lambda`: the zip that is deployed as a Lambda function, the same bytes from the same inputs, and what its cold start costs.

Not part of the wheel. Building takes the standard library and pip; measuring, the embedded servers too.
"""
