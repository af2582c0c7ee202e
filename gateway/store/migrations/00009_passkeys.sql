-- +goose Up
CREATE TABLE passkeys (
  id         TEXT PRIMARY KEY,
  user       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name       TEXT NOT NULL,
  host       TEXT NOT NULL,                -- relying party id: the host name that it is for
  handle     BLOB NOT NULL UNIQUE,         -- credential id
  credential TEXT NOT NULL,                -- JSON: public key and counters
  created    INTEGER NOT NULL,
  used       INTEGER NOT NULL              -- day of its last use; 0: never
);
CREATE INDEX passkeys_user ON passkeys (user);
ALTER TABLE users ADD COLUMN second_factor INTEGER NOT NULL DEFAULT 0; -- a passkey is asked for after the password
CREATE INDEX tokens_user ON tokens (user);

-- +goose Down
DROP INDEX tokens_user;
ALTER TABLE users DROP COLUMN second_factor;
DROP TABLE passkeys;
