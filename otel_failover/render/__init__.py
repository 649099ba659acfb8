"""Drawing traces and tables for people, used by the command line."""
