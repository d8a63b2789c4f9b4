"""What Alembic runs for every command: one transaction on the connection that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from alembic import context

from store.schema import Instant, metadata

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


def _rendered(
    kind: str, item: Any, autogen_context: AutogenContext
) -> str | Literal[False]:  # what Alembic asks for: False means as usual
    del autogen_context
    # A revision must stand when store.schema has long moved on: it names the stored type.
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Instant) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
    render_item=_rendered,
    user_module_prefix="sa.",
)
context.run_migrations()
