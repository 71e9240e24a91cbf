"""What alembic runs: the migrations, over the connection that `upgrade` was given."""

from alembic import context

from haiga.stores.tables import METADATA

# batch: SQLite changes a column by copying its table
context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
