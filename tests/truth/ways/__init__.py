"""The ways to carry an error, as tables; what must be found out about each; and the tests that try them."""
