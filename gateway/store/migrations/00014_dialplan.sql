-- +goose Up
CREATE TABLE rules (                       -- of the dial plan
  id       TEXT PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE COLLATE NOCASE,
  priority INTEGER NOT NULL,               -- the lowest first
  settings TEXT NOT NULL                   -- JSON
);
CREATE TABLE expectations (                -- what the dial plan must go on doing
  id       TEXT PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE COLLATE NOCASE,
  settings TEXT NOT NULL                   -- JSON
);
-- +goose StatementBegin
CREATE TRIGGER rules_insert AFTER INSERT ON rules BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER rules_update AFTER UPDATE ON rules BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER rules_delete AFTER DELETE ON rules BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER expectations_insert AFTER INSERT ON expectations BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER expectations_delete AFTER DELETE ON expectations BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE expectations; DROP TABLE rules;
