-- +goose Up
CREATE TABLE users (
  id           TEXT PRIMARY KEY,
  email        TEXT NOT NULL UNIQUE COLLATE NOCASE,
  display_name TEXT NOT NULL,
  password     TEXT NOT NULL,              -- argon2id, PHC string
  role         TEXT NOT NULL CHECK (role IN ('user', 'superuser', 'administrator')),
  created      INTEGER NOT NULL
);
CREATE TABLE tokens (
  hash    BLOB PRIMARY KEY,                -- SHA-256 of the token
  id      TEXT NOT NULL UNIQUE,
  user    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name    TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL                 -- 0: never
);
CREATE TABLE meetings (
  number           TEXT PRIMARY KEY,
  name             TEXT NOT NULL,
  kind             TEXT NOT NULL CHECK (kind IN ('permanent', 'one-time')),
  hidden           INTEGER NOT NULL,
  host_passcode    BLOB,                   -- sealed with the key in DATA
  guest_passcode   BLOB,
  admission        TEXT NOT NULL CHECK (admission IN ('open', 'accept')),
  encrypted_only   INTEGER NOT NULL,
  max_participants INTEGER NOT NULL,
  owner            TEXT REFERENCES users (id) ON DELETE SET NULL,
  created          INTEGER NOT NULL
);
CREATE TABLE trunks (
  id       TEXT PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  settings TEXT NOT NULL,                  -- JSON
  password BLOB                            -- sealed
);
CREATE TABLE numbers (
  number   TEXT PRIMARY KEY,               -- E.164
  trunk    TEXT NOT NULL,
  target   TEXT NOT NULL,
  settings TEXT NOT NULL                   -- JSON
);
CREATE TABLE devices (
  id        TEXT PRIMARY KEY,
  user      TEXT NOT NULL UNIQUE,
  password  BLOB NOT NULL,                 -- sealed: SIP digest needs it in clear
  name      TEXT NOT NULL,
  extension TEXT UNIQUE,
  created   INTEGER NOT NULL
);
CREATE TABLE calls (
  id        TEXT PRIMARY KEY,
  started   INTEGER NOT NULL,
  ended     INTEGER NOT NULL DEFAULT 0,
  protocol  TEXT NOT NULL,
  direction TEXT NOT NULL,
  caller    TEXT NOT NULL,
  called    TEXT NOT NULL,
  source    TEXT NOT NULL,
  meeting   TEXT NOT NULL,
  trunk     TEXT NOT NULL,
  code      TEXT NOT NULL,                 -- core.Code; '' while it lasts
  detail    TEXT NOT NULL,                 -- JSON: security, statistics, status
  ladder    TEXT NOT NULL                  -- JSON: list of events
);
CREATE INDEX calls_started ON calls (started);
CREATE TABLE retired (                     -- numbers of one-time meetings, not given out again soon
  number TEXT PRIMARY KEY,
  at     INTEGER NOT NULL
);
-- Counts the changes of what is configured, so that a running server notices
-- what the command line did.
CREATE TABLE changes (n INTEGER NOT NULL);
INSERT INTO changes VALUES (0);
-- +goose StatementBegin
CREATE TRIGGER meetings_insert AFTER INSERT ON meetings BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER meetings_update AFTER UPDATE ON meetings BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER meetings_delete AFTER DELETE ON meetings BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER trunks_insert AFTER INSERT ON trunks BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER trunks_update AFTER UPDATE ON trunks BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER trunks_delete AFTER DELETE ON trunks BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER numbers_insert AFTER INSERT ON numbers BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER numbers_update AFTER UPDATE ON numbers BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER numbers_delete AFTER DELETE ON numbers BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER devices_insert AFTER INSERT ON devices BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER devices_update AFTER UPDATE ON devices BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER devices_delete AFTER DELETE ON devices BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_insert AFTER INSERT ON users BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_update AFTER UPDATE ON users BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_delete AFTER DELETE ON users BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose Down
DROP TABLE changes; DROP TABLE retired; DROP TABLE calls; DROP TABLE devices; DROP TABLE numbers; DROP TABLE trunks;
DROP TABLE meetings; DROP TABLE tokens; DROP TABLE users;
