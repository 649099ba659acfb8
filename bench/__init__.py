"""What the instrumentation costs, measured against the bare SDK, a hand-written equivalent and another one."""
