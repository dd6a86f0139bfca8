"""Networks from the literature that Tailrace is held against; none of them is part of the product."""
