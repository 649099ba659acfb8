"""SDKs of providers: each call of theirs is seen from its start to its end, or to the end of its stream."""
