"""pydantic-ai: its `FallbackModel`, and the capability `ModelFallback`."""
