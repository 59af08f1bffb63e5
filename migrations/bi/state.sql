-- A close that a snapshot implied for its slot gives way to the one that the fills date between the slot and the answer.
-- It stays in the table, from which the states between are rebuilt.
CREATE OR REPLACE VIEW recorder.state AS
SELECT a.name AS account, c.*
FROM recorder.change c
JOIN recorder.account a ON a.id = c.account_id
WHERE c.dated_by_exchange OR c.position_amt <> 0 OR NOT EXISTS (
  SELECT FROM recorder.change r
  WHERE r.account_id = c.account_id AND r.symbol = c.symbol AND r.position_side = c.position_side
    AND r.update_time > c.update_time AND r.update_time <= c.observed_at
    AND r.source = 'ledger' AND r.position_amt = 0
);
COMMENT ON VIEW recorder.state IS 'The rows of recorder.change that count: of two that tell of the same close the better dated one.';
