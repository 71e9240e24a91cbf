"""Teaches the starter model to see: `python -m trainers.starter_vision STEP --data DIR --run DIR`.

Rule: every picture is drawn here, out of shapes, words in fonts of this machine, and the emoji of the data folder; what
is measured is drawn from what training never draws. Nothing is downloaded.
"""

import os

# Threads that spin while they wait make a training run on a busy machine ten times slower; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
