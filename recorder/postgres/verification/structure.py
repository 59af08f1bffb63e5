"""Is the database built as it must be: keys, partitions, revision, rights?"""

from sqlalchemy import PrimaryKeyConstraint

from recorder.postgres.roles import READER
from recorder.postgres.tables import METADATA, REVISION, SCHEMA
from recorder.postgres.verification.check import Check


def _key(constraint: PrimaryKeyConstraint) -> str:
    return ", ".join(sorted(column.name for column in constraint.columns))


_KEYS = ", ".join(f"('{table.name}', '{_key(table.primary_key)}')" for table in METADATA.sorted_tables)
_PARTITIONED = "'sample', 'balance'"

KEYS = Check(
    name="keys",
    question="Has every table its key, so that nothing is there twice, and is every index and constraint valid?",
    unit="constraints",
    tables=f"""
      key AS (
        SELECT r.relname, k.conname, (
          SELECT string_agg(a.attname, ', ' ORDER BY a.attname COLLATE "C")
          FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = ANY (k.conkey)
        ) AS columns
        FROM pg_constraint k JOIN pg_class r ON r.oid = k.conrelid
        WHERE r.relnamespace = '{SCHEMA}'::regnamespace AND k.contype = 'p'
      )""",
    checked=f"SELECT count(*) FROM pg_constraint k WHERE k.connamespace = '{SCHEMA}'::regnamespace",
    wrong=f"""
      SELECT NULL AS account, CAST(NULL AS timestamptz) AS "time", NULL AS symbol, what
      FROM (
        SELECT 'recorder.' || expected.name || ': no primary key of ' || expected.columns AS what
        FROM (VALUES {_KEYS}) AS expected (name, columns)
        WHERE NOT EXISTS (SELECT FROM key WHERE key.relname = expected.name AND key.columns = expected.columns)
        UNION ALL
        SELECT i.indexrelid::regclass || ': this index is not valid'
        FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid
        WHERE r.relnamespace = '{SCHEMA}'::regnamespace AND NOT (i.indisvalid AND i.indisready)
        UNION ALL
        SELECT k.conrelid::regclass || ': constraint ' || k.conname || ' was never validated'
        FROM pg_constraint k
        WHERE k.connamespace = '{SCHEMA}'::regnamespace AND NOT k.convalidated
      ) AS broken""",
    saying="what",
)

PARTITIONS = Check(
    name="partitions",
    question="Has every month its partition, the next one too, and is nothing left in the partitions of last resort?",
    unit="partitions",
    # Only a service makes partitions ahead, and what matters is the month in which it last ran.
    tables=f"""
      parent AS (
        SELECT r.oid, r.relname AS name, coalesce(p.partdefid, 0) AS last_resort
        FROM pg_class r LEFT JOIN pg_partitioned_table p ON p.partrelid = r.oid
        WHERE r.relnamespace = '{SCHEMA}'::regnamespace AND r.relname IN ({_PARTITIONED})
      ), newest AS (
        SELECT max(s.recorded_at) AS at
        FROM recorder.account a
        CROSS JOIN LATERAL (SELECT FROM recorder.schedule p WHERE p.account_id = a.id LIMIT 1) AS scheduled
        CROSS JOIN LATERAL (
          SELECT s.recorded_at FROM recorder.snapshot s
          WHERE s.account_id = a.id AND s.kind = 'slot' ORDER BY s."time" DESC LIMIT 1
        ) AS s
      ), needed AS (
        SELECT parent.oid, parent.name, month
        FROM parent, newest, generate_series(
          date_trunc('month', newest.at, 'UTC'), date_trunc('month', newest.at, 'UTC') + interval '1 month', '1 month'
        ) AS month
      )""",
    checked="SELECT count(*) FROM pg_inherits i JOIN parent ON parent.oid = i.inhparent",
    wrong=f"""
      SELECT NULL AS account, n.month AS "time", NULL AS symbol,
             'recorder.' || n.name || ': no partition of this month' AS what
      FROM needed n
      WHERE NOT EXISTS (
        SELECT FROM pg_inherits i JOIN pg_class r ON r.oid = i.inhrelid
        WHERE i.inhparent = n.oid AND r.relname = n.name || '_' || to_char(n.month AT TIME ZONE 'UTC', 'YYYY_MM')
      )
      UNION ALL
      SELECT NULL, NULL, NULL, 'recorder.' || expected || ': no default partition, a row without a month is refused'
      FROM unnest(ARRAY[{_PARTITIONED}]) AS expected
      WHERE NOT EXISTS (SELECT FROM parent WHERE parent.name = expected AND last_resort <> 0)
      UNION ALL
      SELECT c.name, left_over.first, NULL, left_over.what
      FROM (
        SELECT account_id, min("time") AS first, count(*) || ' samples in the default partition' AS what
        FROM recorder.sample_default GROUP BY account_id, date_trunc('month', "time", 'UTC')
        UNION ALL
        SELECT account_id, min("time"), count(*) || ' balances in the default partition'
        FROM recorder.balance_default GROUP BY account_id, date_trunc('month', "time", 'UTC')
      ) AS left_over
      JOIN chosen c ON c.id = left_over.account_id""",
    saying="what",
)

REVISION_AND_RIGHTS = Check(
    name="rights",
    question="Is the schema of this version's revision, and may readers read schema bi and nothing else?",
    unit="objects",
    tables=f"""
      object AS (
        SELECT r.oid, r.oid::regclass AS name, r.relnamespace = 'bi'::regnamespace AS is_public
        FROM pg_class r
        WHERE r.relnamespace IN ('{SCHEMA}'::regnamespace, 'bi'::regnamespace) AND r.relkind IN ('r', 'p', 'v')
      ), reader AS (
        SELECT oid FROM pg_roles WHERE rolname = '{READER}'
      )""",
    checked="SELECT count(*) FROM object",
    wrong=f"""
      SELECT NULL AS account, CAST(NULL AS timestamptz) AS "time", NULL AS symbol, what
      FROM (
        SELECT 'the schema is of revision ' || version_num AS what
        FROM recorder.alembic_version WHERE version_num <> '{REVISION}'
        UNION ALL
        SELECT '{READER} may use schema {SCHEMA}' FROM reader
        WHERE has_schema_privilege(reader.oid, '{SCHEMA}', 'USAGE')
           OR has_schema_privilege(reader.oid, '{SCHEMA}', 'CREATE')
        UNION ALL
        SELECT '{READER} may create in schema bi' FROM reader WHERE has_schema_privilege(reader.oid, 'bi', 'CREATE')
        UNION ALL
        SELECT '{READER} may read ' || o.name FROM object o, reader
        WHERE NOT o.is_public AND has_table_privilege(reader.oid, o.oid, 'SELECT')
        UNION ALL
        SELECT '{READER} may write ' || o.name FROM object o, reader
        WHERE has_table_privilege(reader.oid, o.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
      ) AS broken""",
    saying="what",
)
