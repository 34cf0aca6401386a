"""`backstream demo`: a real day of flights, captured, ruined by a bad deploy, and brought back; the proof is not ours.

The demo stands outside: it writes with a plain botocore client, as any application does, runs the command `backstream` as child
processes, as any operator does, and compares what came back without a line of Backstream's own reading or restoring.
"""
