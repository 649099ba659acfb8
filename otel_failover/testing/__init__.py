"""What people need to test their own loops: local providers, fixtures, scenarios."""
