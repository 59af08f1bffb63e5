"""Clashes: what the exchange told again with other content is said, in the log and in numbers."""

import logging
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter

from recorder.domain.clash import Clash
from recorder.metrics import Metrics

log = logging.getLogger(__name__)

_kind = attrgetter("account_id", "record", "is_restated")


def say(clashes: Iterable[Clash], accounts: Mapping[int, str], metrics: Metrics | None) -> None:
    """Warn of *clashes* that were committed, in one line for all of a kind; *accounts* are their names by number."""
    for (account_id, record, is_restated), each in groupby(sorted(clashes, key=_kind), _kind):
        of_kind = list(each)
        account = accounts[account_id]
        if metrics:
            metrics.clashed(account, record, len(of_kind), is_restated=is_restated)
        log.warning(
            "%s: the exchange told %d line(s) of %s again with other content, the last counts; see bi.superseded. %s"
            if is_restated
            else "%s: the exchange used the ids of %d line(s) of %s again for other lines, all of them count. %s",
            account,
            len(of_kind),
            record,
            f"The first: {of_kind[0].what}",
        )
