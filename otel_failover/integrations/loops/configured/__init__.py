"""Loops in code that cannot be edited: the setting `loops` names their functions, and paths to what a trace needs."""
