"""Who keeps things: a database behind SQLAlchemy. Rule: every table is in tables.py, every statement in keys.py,
models.py and responses.py, and no SQL that only one database understands."""
