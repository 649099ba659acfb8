"""`otel-failover demo`: scenarios that are played against local providers, and what is drawn of their traces."""
