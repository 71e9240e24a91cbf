"""Trains the starter model that haiga ships: `python -m trainers.starter --data DIR --out DIR`.

Rule: everything in the checkpoint comes from the data folder named on the command line and from the phrases written
in this package; nothing is downloaded, and the same folder, seed and steps give the same model on the same machine.
"""

import os

# Threads that spin while they wait make a training run on a busy machine ten times slower; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
