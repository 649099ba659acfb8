"""Whose an error is: a claim is held against evidence, and what comes out is a verdict.

A claim is what an exception, a span or a loop says about an error: `from_exception` and `from_span` read it, `bonds`
finds out by identity whose its objects are. `own_facts` and `source` collect what is known of the candidate and of the
others. `rules` compares the two, and is pure: facts in, verdict out.
"""
