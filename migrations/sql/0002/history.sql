ALTER TABLE recorder.change ADD COLUMN contradicted_by timestamptz;
COMMENT ON COLUMN recorder.change.contradicted_by IS
  'Of an inferred close: the ok snapshot in which the position came back with a state that is older than the close; null: nothing contradicts it.';
ALTER TABLE recorder.snapshot ADD COLUMN true_at timestamptz;
COMMENT ON COLUMN recorder.snapshot.true_at IS
  'The moment between sending and receiving at which the rows agree with what the exchange dated in between; null: taken_at, the middle.';
CREATE INDEX change_dated_idx ON recorder.change (account_id, update_time) WHERE dated_by_exchange;
CREATE INDEX change_implied_idx ON recorder.change (account_id, snapshot_time) WHERE NOT dated_by_exchange;
CREATE INDEX change_contradicted_idx ON recorder.change (account_id, contradicted_by) WHERE contradicted_by IS NOT NULL;
CREATE INDEX snapshot_taken_idx ON recorder.snapshot (account_id, taken_at, "time") WHERE outcome = 'ok';

-- A position that only the stream told of and the next snapshot lacked was never closed. It is now, by that snapshot,
-- as it would be if it were written today. Where the samples of the snapshot are not kept any more, nobody can say
-- that it lacked the position.
INSERT INTO recorder.change (account_id, symbol, position_side, update_time, dated_by_exchange, position_amt,
                             entry_price, break_even_price, margin_asset, source, snapshot_time, observed_at)
SELECT opened.account_id, opened.symbol, opened.position_side,
       least(greatest(seen."time", opened.update_time + interval '1 microsecond',
                      (SELECT before.taken_at + interval '1 microsecond' FROM recorder.snapshot before
                       WHERE before.account_id = opened.account_id AND before.outcome = 'ok'
                         AND (before.taken_at, before."time") < (seen.taken_at, seen."time")
                       ORDER BY before.taken_at DESC, before."time" DESC LIMIT 1)), seen.taken_at),
       false, 0, 0, 0, opened.margin_asset, 'inferred', seen."time", seen.taken_at
FROM recorder.change opened
CROSS JOIN LATERAL (
  SELECT s."time", s.taken_at, s.position_count FROM recorder.snapshot s
  WHERE s.account_id = opened.account_id AND s.outcome = 'ok' AND s.taken_at >= opened.update_time
    AND s.taken_at - make_interval(secs => s.duration_ms / 2000.0) - interval '100 milliseconds' > opened.update_time
  ORDER BY s.taken_at, s."time" LIMIT 1
) AS seen
WHERE opened.source = 'stream' AND opened.position_amt <> 0
  AND NOT EXISTS (
    SELECT FROM recorder.change later
    WHERE later.account_id = opened.account_id AND later.symbol = opened.symbol
      AND later.position_side = opened.position_side AND later.source <> 'ledger'
      AND later.update_time >= opened.update_time AND later.update_time <= seen.taken_at
      AND (later.update_time > opened.update_time OR NOT opened.dated_by_exchange AND later.dated_by_exchange)
  )
  AND NOT EXISTS (
    SELECT FROM recorder.sample p
    WHERE p.account_id = opened.account_id AND p."time" = seen."time" AND p.symbol = opened.symbol
      AND p.position_side = opened.position_side AND p.position_amt <> 0
  )
  AND seen.position_count = (
    SELECT count(*) FROM recorder.sample p WHERE p.account_id = opened.account_id AND p."time" = seen."time"
  )
ON CONFLICT DO NOTHING;
