"""Runs as they end, drawn in a terminal: gathered from spans in any order, and written as whole trees."""
