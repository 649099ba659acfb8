"""The `otel-failover` command: arguments only."""
