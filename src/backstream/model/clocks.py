"""How far clocks are trusted."""

# How far the clocks that stamp changes and answers may be apart, in seconds: an image is taken to be older than it is by this, and
# its reading to have ended later, so that no change is on the wrong side of it.
CLOCKS_APART = 2
