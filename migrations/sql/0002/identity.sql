ALTER TABLE recorder.account ADD COLUMN exchange_alias text;
COMMENT ON COLUMN recorder.account.exchange_alias IS
  'What the exchange calls the account (accountAlias of its balances), pinned at the first record; null: not yet told.';
