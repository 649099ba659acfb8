"""What the wire said: requests and answers as they pass, and what is concluded from them alone.

Transports report to `wire`, which keeps each request as an `Exchange` in the `Ledger` of its attempt; `ownership` says
whose it is, `error_body` what an error answer says, `outcome` how the attempt ended by all that. Nothing that a loop
says comes in here.
"""
