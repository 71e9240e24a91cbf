"""Training of the moderation classifier that ships with haiga.

    python -m trainers.moderation read --data DATA --run RUN --minutes 26      words and language, no labels
    python -m trainers.moderation train --data DATA --run RUN --minutes 60     so with other seeds in other runs
    python -m trainers.moderation teach --data DATA --run RUN --teachers RUN RUN --minutes 15
    python -m trainers.moderation groups --data DATA --run RUN                 on groups that it never saw
    python -m trainers.moderation publish --data DATA --run RUN --out FOLDER

DATA has `moderation/` and `text/`, RUN is what the steps hand on to each other. The server never imports this package.
"""
