"""Training of the moderation classifier that ships with haiga.

    python -m trainers.moderation train --data DATA --run RUN      then `groups`
    python -m trainers.moderation publish --data DATA --run RUN --out FOLDER

DATA has `moderation/` and `text/`, RUN is what the steps hand on to each other. The server never imports this package.
"""
