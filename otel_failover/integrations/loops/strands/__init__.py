"""Strands Agents: its `ModelRouter`."""
