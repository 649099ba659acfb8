"""LangChain: `RunnableWithFallbacks`, one at a time, streamed or in batches, and the fallback middleware of agents."""
