"""The wire formats of those that answer as OpenAI does, and whose errors are their own."""
