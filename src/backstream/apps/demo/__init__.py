"""`backstream demo`: a real day of flights is captured, ruined by a bad deploy, and brought back. The proof is independent of
Backstream.

The demo is an outsider. It writes with a plain botocore client, like any application, and runs the command `backstream` as child
processes, like any operator. It compares the result without any of Backstream's own code for reading or restoring.
"""
