"""What became of a request, candidate by candidate, in a form that may be shown to the people behind an API.

`find_run` finds the run that an exception left; `summary` is made of its evidence. Where there is no run,
`from_exception` takes the exceptions at their word. Imported when it is asked for: most processes never need it.
"""
