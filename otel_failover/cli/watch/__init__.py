"""`otel-failover watch`: each run of one's own service as it ends, over OTLP on loopback; no collector."""
