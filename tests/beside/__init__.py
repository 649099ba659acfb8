"""Beside other instrumentations: no honest span of theirs is flagged, every lie told through them is, and it is counted.

A test takes the fixture `beside`, once for each family of neighbours that is installed, and calls `beside.honest(work)`
or `beside.dishonest(work)`. What was looked at stands in the last lines of pytest's report.
"""
