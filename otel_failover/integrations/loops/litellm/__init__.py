"""litellm: its `Router`, and `completion` with `fallbacks`."""
