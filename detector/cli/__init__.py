"""The `tailrace` command line, one file a command."""
