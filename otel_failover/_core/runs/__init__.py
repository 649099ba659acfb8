"""A run is one pass of a fallback loop, an attempt one try at one candidate in it, a call one logical call of an SDK.

Each is opened, is current while the host's code works, and is settled once. `recorder` and `tally` keep what became
of a run's attempts, `judgement` holds what is claimed about one against its evidence.
"""
