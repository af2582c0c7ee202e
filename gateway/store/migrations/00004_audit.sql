-- +goose Up
CREATE TABLE audit (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at     INTEGER NOT NULL,
  actor  TEXT NOT NULL,                    -- id of the account; '' for the command line
  name   TEXT NOT NULL,                    -- its e-mail address then
  source TEXT NOT NULL,                    -- IP address
  act    TEXT NOT NULL,                    -- the operation's id in the API's description
  object TEXT NOT NULL,                    -- what it was done to
  detail TEXT NOT NULL                     -- which fields; values only of those that are no secrets
);
CREATE INDEX audit_at ON audit (at);

-- +goose Down
DROP TABLE audit;
