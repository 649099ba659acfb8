"""Calls by wire: a request that asks a model, and that no SDK's adapter claims, is a call by itself.

So every SDK without an adapter, and plain HTTP, is an attempt in a run and has a call span outside of one. Who is
asked, and what, is read from the request's path and body; what comes back is read while the host reads it, and never
by us.
"""
