"""The embedded shell: files in, a file as the store, no server. `watch` and `replay` run the same core."""
