"""HTTP clients: each request that goes out, and what comes back, is evidence for the attempt that asked."""
