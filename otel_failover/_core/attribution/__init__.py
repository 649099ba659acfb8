"""Whose error it is: what somebody claims, held against what the wire said.

A `Claim` is copied out of an exception (`from_exception`) or a span (`from_span`); `bonds` finds out whose its objects
are; `own_facts` and `source` bring the evidence into the form that is compared; `rules`, which are pure, give the
verdict.
"""
