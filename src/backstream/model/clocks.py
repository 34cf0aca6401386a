"""The limits of trust in clocks."""

# The clocks that stamp changes and answers may differ by this many seconds. An image is taken to be older by this, and its reading
# to have ended later by this, so that no change is on the wrong side of it.
CLOCKS_APART = 2

# A much larger difference, in seconds: an entry that is older than a reading by this cannot change anything that is known since.
FAR_APART = 60

# A server's date may move this machine's clock by at most this many seconds. An answer with a date beyond that is ignored.
MOST_SKEW = 86_400.0
