"""configured."""
