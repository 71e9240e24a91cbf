"""What all tables belong to."""

from sqlalchemy import MetaData

# named constraints, so that a later migration can name what it changes on any database
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
