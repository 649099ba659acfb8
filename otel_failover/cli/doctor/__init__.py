"""`otel-failover doctor`: what is installed, what is patched, and where telemetry goes."""
