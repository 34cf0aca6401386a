"""How far clocks are trusted."""

# How far the clocks that stamp changes and answers may be apart, in seconds: an image is taken to be older than it is by this, and
# its reading to have ended later, so that no change is on the wrong side of it.
CLOCKS_APART = 2

# Far more than that, in seconds: what is older than a reading by this changes nothing of what is known since.
FAR_APART = 60

# How far a server's date may move this machine's clock, in seconds: one that answers with another date than that is not followed.
MOST_SKEW = 86_400.0
