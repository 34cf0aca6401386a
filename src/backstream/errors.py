"""Every error of Backstream, grouped by the action that a caller should take.

Each states the fault, its subject, and the next step (`hint`). Its class carries the exit code of the command line.
"""

from __future__ import annotations


class BackstreamError(Exception):
    """The root: something was not done. `hint` is the operator's next step, or empty."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


# --- the request is wrong: change it and call again -----------------------------------------------------------------


class UsageError(BackstreamError):
    """The request cannot be understood: a moment, a key, a URL, an option."""

    exit_code = 2


# --- differences: nothing failed, but two things that should be equal are not ---------------------------------------------------


class DifferencesFound(BackstreamError):
    """A comparison ended, and found differences."""

    exit_code = 3


# --- refused for safety: nothing was touched; read the reason, then decide ------------------------------------------------------


class Refused(BackstreamError):
    """Doing it would risk data, so nothing was done."""

    exit_code = 4


class OutsideWindow(Refused):
    """The moment is in the future, or the vault cannot tell the state at it."""


class GapInTheWay(Refused):
    """Changes are known to be missing between the vault's data and the requested moment."""


class TargetNotEmpty(Refused):
    """The table or file to restore into holds something already."""


class OthersChanged(Refused):
    """All that is left to restore are rows that somebody else has changed since."""


class UnversionedBucket(Refused):
    """The bucket keeps no versions: an overwritten object would be lost."""


class WrongStreamView(Refused):
    """The stream does not carry new and old images, so its records cannot be kept."""


# --- failed: a service refused; fix the cause and call again ------------------------------------------------------------


class Failed(BackstreamError):
    """It was tried and did not work."""


class PartlyDone(Failed):
    """Some of it was done; the rest is named and can be resumed."""


class ScriptFailed(Failed):
    """A user's script raised an error, or returned an invalid value."""


class AccessDenied(Failed):
    """Credentials are missing, wrong, expired or without the permission."""


class NotFound(Failed):
    """The named thing does not exist."""


class NothingMatches(NotFound):
    """A selection matches nothing that changed. The data that was read is whole."""


class UnknownTags(NotFound):
    """A table's tags are unknown, because its catalog is not readable."""


class CatalogLost(NotFound):
    """The vault holds objects of the table, and its catalog is gone: nothing else says how to read them."""


class MissingBucket(NotFound):
    """The vault's bucket or folder does not exist."""


class MissingTable(NotFound):
    """The DynamoDB table does not exist."""


class MissingObject(NotFound):
    """No such object or version in the store. `marker`: a delete marker stands on top of its versions."""

    def __init__(self, message: str, *, hint: str = "", marker: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.marker = marker


class AlreadyExists(Failed):
    """A create-only write found something of that name."""


class NameTaken(Failed):
    """A name that its contents give them holds other contents: somebody else has written it."""


class Overtaken(Failed):
    """Somebody else did the same at the same time, and was faster: nothing of this attempt counts."""


class HorizonMoved(Failed):
    """History was removed while the vault was read with an older catalog: what was read so far may lack it."""


class ConditionNotMet(Failed):
    """A conditional write found that the item was not as expected."""


class Damaged(Failed):
    """Bytes were read that neither this tool nor AWS writes: truncated, not JSON, or another item's."""

    def of(self, name: str) -> Damaged:
        """Returns the same error with the name of its object."""
        return Damaged(f"{name}: {self.message}", hint=self.hint)


class NotSigned(Damaged):
    """The object is not signed with the key that the reader trusts: nobody vouches for it, so it is not trusted."""

    exit_code = 4

    def of(self, name: str) -> NotSigned:
        """Returns the same error: it names its object already."""
        del name
        return self


class MalformedRecord(Failed):
    """A stream record or image lacks a part that every one has. `sequence`: its sequence number, or empty."""

    def __init__(self, message: str, *, hint: str = "", sequence: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sequence = sequence


class Unavailable(Failed):
    """The service did not answer, or asked to slow down: the same call may go through later."""


class Throttled(Unavailable):
    """The service asked to slow down: the requests exceed its limit."""


class StillChanging(Unavailable):
    """The table, or a part of it, is being created or changed: the same call succeeds once that has ended."""


def raising(error: Damaged) -> None:
    """Raises the error. A caller that continues past damage passes another function in its place."""
    raise error


# --- the stream's own turns: the tail reacts to them, a user only sees what could not be mended ---------------------------------


class IteratorExpired(Failed):
    """A shard iterator is older than 15 minutes; ask for a new one."""


class InvalidPosition(Failed):
    """The service does not accept such an argument, for example a position in a shard that is older than its records."""


class RecordsTrimmed(Failed):
    """The stream no longer holds the requested records: they are older than 24 hours."""
