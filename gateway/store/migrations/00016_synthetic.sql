-- +goose Up
CREATE TABLE synthetic_callers (           -- that call the bridge's own numbers
  number   TEXT PRIMARY KEY REFERENCES numbers (number) ON DELETE CASCADE,
  settings TEXT NOT NULL,                  -- JSON
  keys     BLOB                            -- that they press, sealed: there is a passcode among them
);
CREATE TABLE synthetic_calls (             -- what they met
  number   TEXT NOT NULL REFERENCES synthetic_callers (number) ON DELETE CASCADE,
  at       INTEGER NOT NULL,               -- ms
  detail   TEXT NOT NULL,                  -- JSON
  PRIMARY KEY (number, at)
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER synthetic_callers_insert AFTER INSERT ON synthetic_callers BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER synthetic_callers_update AFTER UPDATE ON synthetic_callers BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER synthetic_callers_delete AFTER DELETE ON synthetic_callers BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE synthetic_calls; DROP TABLE synthetic_callers;
