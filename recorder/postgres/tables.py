"""The tables of schema ``recorder``. They belong to the service; people and tools read the views of schema ``bi``.

Every table that grows has ``account_id`` first in its key, so that it can be distributed by account. The samples are
partitioned by month; the database makes the partitions itself (``recorder.ensure_partitions``).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "recorder"
REVISION = "0002"
"""The revision of the schema this program writes into; a test holds it against the newest migration."""

METADATA = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)
INSTANT = DateTime(timezone=True)

account = Table(
    "account",
    METADATA,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", INSTANT, nullable=False, server_default=text("now()")),
    Column("exchange_alias", Text),
)

snapshot = Table(
    "snapshot",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("time", INSTANT, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("taken_at", INSTANT, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text),
    Column("position_count", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("clock_offset_ms", Integer),
    Column("recorded_at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("balance_outcome", Text),
    Column("true_at", INSTANT),
    CheckConstraint("outcome = 'ok' OR position_count = 0", name="failed_is_empty"),
    Index("snapshot_taken_idx", "account_id", "taken_at", "time", postgresql_where=text("outcome = 'ok'")),
)

sample = Table(
    "sample",
    METADATA,
    Column("account_id", Integer, primary_key=True),
    Column("adl", Integer),
    Column("time", INSTANT, primary_key=True),
    Column("update_time", INSTANT, nullable=False),
    Column("symbol", Text, primary_key=True),
    Column("position_side", Text, primary_key=True),
    Column("position_amt", Numeric, nullable=False),
    Column("entry_price", Numeric, nullable=False),
    Column("break_even_price", Numeric),
    Column("mark_price", Numeric, nullable=False),
    Column("unrealized_profit", Numeric, nullable=False),
    Column("liquidation_price", Numeric),
    Column("isolated_margin", Numeric),
    Column("notional", Numeric),
    Column("margin_asset", Text),
    Column("isolated_wallet", Numeric),
    Column("initial_margin", Numeric),
    Column("maint_margin", Numeric),
    Column("position_initial_margin", Numeric),
    Column("open_order_initial_margin", Numeric),
    Column("bid_notional", Numeric),
    Column("ask_notional", Numeric),
    Column("extra", JSONB),
    postgresql_partition_by="RANGE (time)",
)

change = Table(
    "change",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("position_side", Text, primary_key=True),
    Column("update_time", INSTANT, primary_key=True),
    Column("dated_by_exchange", Boolean, primary_key=True),
    Column("position_amt", Numeric, nullable=False),
    Column("entry_price", Numeric),
    Column("break_even_price", Numeric),
    Column("margin_asset", Text),
    Column("accumulated_realized", Numeric),
    Column("reason", Text),
    Column("source", Text, nullable=False),
    Column("snapshot_time", INSTANT),
    Column("observed_at", INSTANT, nullable=False),
    Column("event_time", INSTANT),
    Column("contradicted_by", INSTANT),
    Index(
        "change_undated_idx",
        "account_id",
        "symbol",
        "position_side",
        "observed_at",
        postgresql_where=text("NOT dated_by_exchange"),
    ),
    Index("change_dated_idx", "account_id", "update_time", postgresql_where=text("dated_by_exchange")),
    Index("change_implied_idx", "account_id", "snapshot_time", postgresql_where=text("NOT dated_by_exchange")),
    Index(
        "change_contradicted_idx",
        "account_id",
        "contradicted_by",
        postgresql_where=text("contradicted_by IS NOT NULL"),
    ),
)

gap = Table(
    "gap",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("symbol", Text, primary_key=True, server_default=text("''::text")),
    Column("started_at", INSTANT, primary_key=True),
    Column("ended_at", INSTANT),
    Column("reason", Text, nullable=False),
    Column("repaired_by", Text),
    Column("detail", Text),
    Column("told_until", INSTANT),
    CheckConstraint("ended_at >= started_at", name="ends_after_start"),
)

balance = Table(
    "balance",
    METADATA,
    Column("account_id", Integer, primary_key=True),
    Column("time", INSTANT, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("update_time", INSTANT, nullable=False),
    Column("wallet_balance", Numeric, nullable=False),
    Column("cross_wallet_balance", Numeric, nullable=False),
    Column("cross_unrealized_profit", Numeric, nullable=False),
    Column("available_balance", Numeric),
    Column("max_withdraw_amount", Numeric),
    Column("margin_available", Boolean),
    postgresql_partition_by="RANGE (time)",
)

balance_change = Table(
    "balance_change",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("time", INSTANT, primary_key=True),
    Column("event_time", INSTANT, primary_key=True),
    Column("wallet_balance", Numeric, primary_key=True),
    Column("cross_wallet_balance", Numeric),
    Column("balance_change", Numeric),
    Column("reason", Text, primary_key=True),
    Column("told_at", INSTANT),
)

fill = Table(
    "fill",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("trade_id", BigInteger, primary_key=True),
    Column("time", INSTANT, primary_key=True),
    Column("order_id", BigInteger, primary_key=True),
    Column("position_side", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("price", Numeric, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("realized_profit", Numeric, nullable=False),
    Column("commission", Numeric, nullable=False),
    Column("commission_asset", Text),
    Column("maker", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("told_at", INSTANT),
    Index("fill_time_idx", "account_id", "time"),
)

income = Table(
    "income",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("income_type", Text, primary_key=True),
    Column("tran_id", BigInteger, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("time", INSTANT, primary_key=True),
    Column("income", Numeric, nullable=False),
    Column("trade_id", BigInteger),
    Column("info", Text),
    Column("told_at", INSTANT),
    Index("income_time_idx", "account_id", "time"),
    Index("income_symbol_idx", "account_id", "symbol", "time"),
)

ledger = Table(
    "ledger",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("complete_since", INSTANT, nullable=False),
    Column("complete_until", INSTANT, nullable=False),
    Column("rebuilt_until", INSTANT),
    CheckConstraint("complete_since <= complete_until", name="runs_forward"),
)

unexplained = Table(
    "unexplained",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("position_side", Text, primary_key=True),
    Column("started_at", INSTANT, primary_key=True),
    Column("ended_at", INSTANT, primary_key=True),
)

event = Table(
    "event",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("received_at", INSTANT, nullable=False),
    Column("kind", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("event_time", INSTANT),
    Column("body", Text, nullable=False),
)

stream = Table(
    "stream",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("since", INSTANT, primary_key=True),
    Column("state", Text, primary_key=True),
)

beginning = Table(
    "beginning",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("began", INSTANT, primary_key=True),
    Column("since", INSTANT, nullable=False),
    Column("reason", Text, nullable=False),
)

schedule = Table(
    "schedule",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("since", INSTANT, primary_key=True),
    Column("every", Interval, nullable=False),
    CheckConstraint("every > interval '0'", name="every_is_positive"),
)

commit_mark = Table(
    "commit_mark",
    METADATA,
    Column("instance", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("marked_at", INSTANT, nullable=False),
    Column("run", BigInteger, nullable=False, server_default=text("0")),
    Column("process", Text, nullable=False, server_default=text("''::text")),
    Column("host", Text),
    Column("pid", Integer),
)

dead_letter = Table(
    "dead_letter",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("sqlstate", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("first_seen", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("settled_at", INSTANT),
)

superseded = Table(
    "superseded",
    METADATA,
    Column("account_id", ForeignKey(account.c.id), primary_key=True),
    Column("record", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("time", INSTANT, nullable=False),
    Column("source", Text),
    Column("told_at", INSTANT),
    Column("body", JSONB, nullable=False),
    Column("superseded_at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
)

schema_revision = Table(
    "schema_revision",
    METADATA,
    Column("revision", Text, primary_key=True),
    Column("oldest_writer", Text, nullable=False),
    Column("applied_at", INSTANT, nullable=False, server_default=text("now()")),
)
