"""`otel-failover report`: one page for an incident review, of a file of traces."""
