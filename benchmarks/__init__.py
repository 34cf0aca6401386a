"""`make bench`: what Backstream's requests cost, side by side with boto3, dynamodump and a load tool in C, on one machine.

Each piece of work runs in a process of its own, so that its processor time and its memory are nobody else's.
"""
