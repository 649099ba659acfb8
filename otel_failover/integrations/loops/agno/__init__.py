"""agno: the fallback models of its agents and teams."""
