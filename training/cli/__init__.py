"""The `tailrace-train` command line, one file a command."""
