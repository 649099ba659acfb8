"""Runs of loops that nobody declared: the same question, asked of another candidate after a failure.

Imported after the first failure outside any run, and at work only while one is remembered (`watch`). What may belong
together is decided in `memory`, which knows neither OpenTelemetry nor an SDK; who asks, and where, is told by `askers`.
"""
