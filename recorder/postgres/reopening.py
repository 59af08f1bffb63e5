"""Reopening: what is written of an earlier time sets back up to when a symbol's changes were rebuilt from its fills."""


def rebuilding_from(statement: str) -> str:
    """Add to a *statement* that writes, and returns account_id, symbol and time, that all since is to be rebuilt."""
    return f"""
    WITH told AS ({statement})
    UPDATE recorder.ledger SET rebuilt_until = since."time"
    FROM (SELECT account_id, symbol, min("time") AS "time" FROM told GROUP BY account_id, symbol) AS since
    WHERE ledger.account_id = since.account_id AND ledger.kind = 'fill' AND ledger.symbol = since.symbol
      AND ledger.rebuilt_until > since."time"
    """
