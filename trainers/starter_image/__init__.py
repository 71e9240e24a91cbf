"""Trains the starter image model: `python -m trainers.starter_image DATA OUT`.

Rule: every picture is drawn here, out of shapes and the emoji of the data folder; what is measured is asked for by
prompts whose scenes training never drew. Nothing is downloaded.
"""

import os

# Threads that spin while they wait make a training run on a busy machine ten times slower; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
