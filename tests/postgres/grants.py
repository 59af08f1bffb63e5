"""Who may do what with which object of the schema, as lines that a person can read."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_GRANTS = text("""
    SELECT grantee || ': ' || string_agg(privilege, ', ' ORDER BY privilege) || ' on ' || name
    FROM (
      SELECT n.nspname || '.' || c.relname AS name, acl.grantee, acl.privilege_type AS privilege
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
      WHERE n.nspname IN ('recorder', 'bi') AND acl.grantee <> c.relowner
      UNION ALL
      SELECT n.nspname || '.' || c.relname, acl.grantee,
             acl.privilege_type || ' (' || string_agg(a.attname, ', ' ORDER BY a.attname) || ')'
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
      WHERE n.nspname IN ('recorder', 'bi') AND acl.grantee <> c.relowner
      GROUP BY n.nspname, c.relname, acl.grantee, acl.privilege_type
      UNION ALL
      SELECT p.oid::regprocedure::text, acl.grantee, acl.privilege_type
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace CROSS JOIN LATERAL aclexplode(p.proacl) AS acl
      WHERE n.nspname IN ('recorder', 'bi') AND acl.grantee <> p.proowner
      UNION ALL
      SELECT 'schema ' || n.nspname, acl.grantee, acl.privilege_type
      FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) AS acl
      WHERE n.nspname IN ('recorder', 'bi') AND acl.grantee <> n.nspowner
    ) AS granted (name, oid, privilege)
    CROSS JOIN LATERAL (
      SELECT CASE oid WHEN 0 THEN 'PUBLIC' ELSE (SELECT rolname FROM pg_roles r WHERE r.oid = granted.oid) END
    ) AS who (grantee)
    GROUP BY grantee, name
""")


async def grants(connection: AsyncConnection) -> set[str]:
    """Every right on the schemas recorder and bi and what is in them, but their owner's own."""
    return set(await connection.scalars(_GRANTS))
