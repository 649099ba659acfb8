"""What can be set, and what is made of it.

`settings` holds every setting with its default, `checks` says what is allowed in each, `loop` describes a loop that
cannot be edited. `runtime` is the active state made of them: settings, tracer, `metrics` and `logs`.
"""
