"""`replicate`: one table kept like another, from its stream or by a Lambda function."""

from backstream.operations.replicate.batch import bring
from backstream.operations.replicate.copy import Replicating
from backstream.operations.replicate.run import Replicated, Words, replicate
from backstream.operations.replicate.settle import Deletes, Replica

__all__ = ["Deletes", "Replica", "Replicated", "Replicating", "Words", "bring", "replicate"]
