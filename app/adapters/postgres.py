"""How PostgreSQL is set up: how many connections, how long anything may take, and what replicas do one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event, func, select

MIGRATION_LOCK = 0x766F756368  # "vouch"
"""Key of the advisory lock under which a replica changes the schema, or what all of them share."""

_KEEPALIVE_S = 5


@dataclass(frozen=True)
class PostgresLimits:
    n_connections: int = 16
    """Of one process, at once."""
    timeout_s: float = 10.0
    """For a connection, a lock, a statement, and an answer of a server that went away."""

    def engine_arguments(self) -> dict[str, Any]:
        """What `create_engine` takes besides the URL, in which anything more may be set."""
        timeout_ms = math.ceil(1000 * self.timeout_s)
        return {
            "pool_size": self.n_connections,
            "max_overflow": 0,
            "pool_timeout": self.timeout_s,
            # The one that has just been used is alive and warm; those beyond the usual load are closed by the server.
            "pool_use_lifo": True,
            "pool_pre_ping": True,
            "connect_args": {
                "connect_timeout": math.ceil(self.timeout_s),
                "application_name": "vouch",
                # PgBouncer gives a transaction another connection than the one before, and a statement that was prepared there is not here.
                "prepare_threshold": None,
                # A server that is gone without a word is noticed by the system, and the request waits no longer.
                "keepalives_idle": _KEEPALIVE_S,
                "keepalives_interval": _KEEPALIVE_S,
                "keepalives_count": 2,
                "tcp_user_timeout": timeout_ms,
                "options": (
                    f"-c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms} "
                    f"-c idle_in_transaction_session_timeout={timeout_ms}"
                ),
            },
        }


DEFAULT_LIMITS = PostgresLimits()


def withhold_rows(engine: Engine) -> None:
    """Keeps to an error's first line: the others repeat the values of the row, which belong in no log."""

    @event.listens_for(engine, "handle_error")
    def shorten(context: ExceptionContext) -> None:
        error = context.original_exception
        line = getattr(getattr(error, "diag", None), "message_primary", None)
        if line is not None:
            error.args = (line,)
            if context.sqlalchemy_exception is not None:
                context.sqlalchemy_exception.args = (f"({type(error).__name__}) {line}",)


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that read: all statements of one see the database as it was at the first."""
    return engine.execution_options(isolation_level="REPEATABLE READ")


def commit_without_waiting(connection: Connection) -> None:
    """For a transaction that others see when it ends, and that a crash of the server may take back within a second."""
    connection.execute(select(func.set_config("synchronous_commit", "off", True)))


def take_migration_lock(connection: Connection) -> None:
    """Waits until no other process has it; the end of the transaction releases it. Nothing in it is limited in time."""
    lift_limits(connection)
    connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))


def lift_limits(connection: Connection) -> None:
    """Nothing in this transaction is limited in time."""
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(select(func.set_config(name, "0", True)))
