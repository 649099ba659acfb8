"""What traces look like in a terminal: one span as it is read, and a trace as a tree."""
