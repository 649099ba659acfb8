"""Everything that is written on spans: no other room sets a status, adds an event or writes `error.*`.

`candidate_span`, `run_span` and `call_span` write our own. `processor` judges every span that ends, ours or anybody's,
and `mismatch` shows what it found; `registry` says which open span belongs to which attempt.
"""
