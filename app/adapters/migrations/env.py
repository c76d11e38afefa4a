"""What alembic executes: the revisions, on the connection that `app/adapters/database.py` hands over."""

from alembic import context

from app.adapters.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite alters a table by rebuilding it; its DDL is transactional because database.py issues the BEGIN itself.
    render_as_batch=True,
    transactional_ddl=True,
)

with context.begin_transaction():
    context.run_migrations()
