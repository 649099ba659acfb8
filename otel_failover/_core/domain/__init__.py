"""The words of the field: candidates and their chain, providers and endpoints, reasons, outcomes and verdicts.

Values and pure functions, which everything above shares. `attributes` has every name that goes on the wire.
"""
