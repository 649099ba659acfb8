"""OpenTelemetry instrumentation that tells the truth about failover between LLM providers."""
