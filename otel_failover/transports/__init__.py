"""Wire adapters: what an HTTP client sent and got, as evidence."""
