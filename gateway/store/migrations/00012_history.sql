-- +goose Up
ALTER TABLE calls ADD COLUMN account TEXT REFERENCES users (id) ON DELETE SET NULL; -- who called, or whose device
CREATE INDEX calls_account ON calls (account, started);

-- +goose Down
DROP INDEX calls_account;
ALTER TABLE calls DROP COLUMN account;
