"""Solve a small linear system and check the answer: enough to know that numpy works."""
import sys

import numpy as np

rng = np.random.default_rng(7)
a = rng.standard_normal((200, 200))
x = rng.standard_normal(200)
found = np.linalg.solve(a, a @ x)
error = float(np.abs(found - x).max())
print(f"python {sys.version.split()[0]} numpy {np.__version__} largest error {error:.1e}")
sys.exit(0 if error < 1e-8 else 1)
