"""Spans and findings as people read them: trees, tables, reports. Importing this package imports no rich."""
