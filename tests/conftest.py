"""What every test shares."""

import os

# Before numpy and torch are imported: several threads on small matrices only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
