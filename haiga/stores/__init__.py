"""Who keeps things: a database behind SQLAlchemy. Rule: every table is in tables.py, every statement in keys.py and
models.py, and no SQL that only one database understands."""
