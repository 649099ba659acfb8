"""The documents: what they say is run, or compared with the code."""
