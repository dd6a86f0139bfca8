"""The results of a benchmark, kept run by run, and the table that is made of them."""
