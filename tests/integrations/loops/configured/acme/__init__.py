"""A host's own package, written as hosts write them: it knows nothing of telemetry, and is never edited."""
