DROP SCHEMA bi CASCADE;
DROP VIEW recorder.earning, recorder.state;
DROP FUNCTION recorder.ensure_partitions(timestamptz, timestamptz), recorder.income_part(text);
DROP TABLE recorder.dead_letter, recorder.commit_mark, recorder.schedule, recorder.beginning, recorder.stream, recorder.event, recorder.unexplained,
  recorder.ledger, recorder.income, recorder.fill, recorder.balance_change, recorder.balance, recorder.gap, recorder.change,
  recorder.sample, recorder.snapshot, recorder.account;
