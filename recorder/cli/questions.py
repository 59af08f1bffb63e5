"""``recorder positions``, ``history`` and ``gaps``: what is recorded."""

from recorder.cli.options import Account, At, Config, Json, Since, Symbol, Verbosity


def positions(
    account: Account = None, at: At = None, json: Json = False, config: Config = None, log_level: Verbosity = "warning"
) -> None:
    """Show what is held now, or what was held at a time.

    Now: the open positions of each account's newest ok snapshot, with its age. Then: the open positions whose state
    was in force at that time, from the history of changes.
    """
    from recorder.cli.answers import answer
    from recorder.postgres import questions

    if at is None:
        answer(
            lambda engine: questions.open_positions(engine, account),
            {
                "account": "account",
                "symbol": "symbol",
                "position_side": "side",
                "position_amt": "amount",
                "entry_price": "entry",
                "mark_price": "mark",
                "unrealized_profit": "unrealised profit",
                "margin_asset": "asset",
                "time": "as of",
            },
            empty="No open positions are recorded. Is `recorder run` running? See: recorder gaps",
            config=config,
            log_level=log_level,
            json=json,
        )
    else:
        answer(
            lambda engine: questions.positions_at(engine, account, at),
            {
                "account": "account",
                "symbol": "symbol",
                "position_side": "side",
                "position_amt": "amount",
                "entry_price": "entry",
                "break_even_price": "break-even",
                "margin_asset": "asset",
                "update_time": "since",
                "valid_to": "until",
            },
            empty="No position was recorded as open at that time.",
            config=config,
            log_level=log_level,
            json=json,
        )


def history(
    account: Account = None,
    symbol: Symbol = None,
    since: Since = None,
    json: Json = False,
    config: Config = None,
    log_level: Verbosity = "warning",
) -> None:
    """Show every change of every position, oldest first; amount 0 is a close.

    Example: recorder history --account main --symbol BTCUSDT --since 7d
    """
    from recorder.cli.answers import answer
    from recorder.postgres import questions

    answer(
        lambda engine: questions.history(engine, account, symbol, since),
        {
            "update_time": "time",
            "account": "account",
            "symbol": "symbol",
            "position_side": "side",
            "position_amt": "amount",
            "entry_price": "entry",
            "break_even_price": "break-even",
            "margin_asset": "asset",
            "source": "source",
            "valid_to": "until",
        },
        empty="No changes are recorded for that.",
        config=config,
        log_level=log_level,
        json=json,
    )


def gaps(since: Since = None, json: Json = False, config: Config = None, log_level: Verbosity = "warning") -> None:
    """Show the intervals in which accounts were not watched, and why, and those that the fills do not explain.

    Slots that were due while the service ran and failed are in bi.snapshot, each with its reason.
    """
    from recorder.cli.answers import answer
    from recorder.postgres import questions

    answer(
        lambda engine: questions.gaps(engine, since),
        {
            "account": "account",
            "source": "source",
            "started_at": "from",
            "ended_at": "to",
            "reason": "reason",
            "symbol": "symbol",
            "repaired_by": "repaired by",
        },
        empty="No gaps: every account was watched all the time.",
        config=config,
        log_level=log_level,
        json=json,
    )
