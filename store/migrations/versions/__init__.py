"""The revisions, each on top of the one before."""
