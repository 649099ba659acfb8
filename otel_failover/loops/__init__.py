"""Loops: libraries' own, and those that are only configured."""
