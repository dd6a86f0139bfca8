"""Tests of the product against real files, servers and processes."""
