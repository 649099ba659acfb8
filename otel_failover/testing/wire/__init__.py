"""What each provider answers, as its own server would write it."""
