"""`replicate`: keeps one table like another, from its stream or by a Lambda function."""

from backstream.operations.replicate.batch import bring
from backstream.operations.replicate.copy import Replicating
from backstream.operations.replicate.reconcile import Deletes, Reconciler
from backstream.operations.replicate.run import Replicated, ReplicateOptions, replicate

__all__ = ["Deletes", "Reconciler", "ReplicateOptions", "Replicated", "Replicating", "bring", "replicate"]
