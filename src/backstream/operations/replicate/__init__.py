"""`replicate`: one table kept like another, from its stream or by a Lambda function."""

from backstream.operations.replicate.batch import bring
from backstream.operations.replicate.copy import Replicating
from backstream.operations.replicate.run import Replicated, ReplicateOptions, replicate
from backstream.operations.replicate.settle import Deletes, Reconciler

__all__ = ["Deletes", "Reconciler", "ReplicateOptions", "Replicated", "Replicating", "bring", "replicate"]
