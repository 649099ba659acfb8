"""A host's package that the documents name: the one that nobody edits, and the one that an adapter is written for."""
