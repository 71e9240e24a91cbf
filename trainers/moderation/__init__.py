"""Training of the moderation classifier that ships with haiga.

    python -m trainers.moderation --data FOLDER --out FOLDER

FOLDER of the data has `moderation/` and `text/`. The server never imports this package.
"""
