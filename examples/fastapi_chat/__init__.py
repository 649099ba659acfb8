"""A chat service that tells the people behind it which model failed, and why."""
