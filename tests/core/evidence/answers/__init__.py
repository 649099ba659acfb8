"""What answers say besides the usual."""
