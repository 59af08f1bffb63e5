DROP SCHEMA bi CASCADE;
DROP FUNCTION recorder.ensure_sample_partitions(timestamptz, timestamptz);
DROP TABLE recorder.gap, recorder.change, recorder.sample, recorder.snapshot, recorder.account;
