"""Fallback loops of libraries, one package or module each: what is a run there, and what is an attempt.

In a package `patches` says what is wrapped and why there, `run` keeps one pass of the loop, and `candidates` reads who
the library's objects are. `configured` is for loops that cannot be edited and are named in a setting; `shared` is what
the adapters have in common.
"""
