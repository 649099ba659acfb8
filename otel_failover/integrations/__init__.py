"""What is patched in other people's libraries, to see what they do.

`transports` and `providers` bring in evidence, `loops` the runs and attempts. `patching` puts wrappers on and takes our
own off; `libraries` lists what there is. No library's adapter imports another's, and none takes anything private of the
core.
"""
