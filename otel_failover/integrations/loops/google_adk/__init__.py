"""google-adk: its `FallbackModel`."""
