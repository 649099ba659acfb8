"""What a run got wrong: one record of a run in, findings out.

`record` holds what the rules read and return, `rules` the table of rules and the function that applies it; the rules
stand in one module for each family. Nothing here knows OpenTelemetry or a clock, so that live telemetry and traces
that were written elsewhere are judged by the same rules.
"""
