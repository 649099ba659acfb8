"""What the wire said: requests and answers, kept in the ledger of the attempt that asked.

Transports report through `wire`, calls of SDKs through `runs.call`. `outcome` says from a ledger, and from nothing
else, how an attempt ended: what a loop or an exception claims is no evidence.
"""
