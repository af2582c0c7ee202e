-- +goose Up
ALTER TABLE users ADD COLUMN pending INTEGER NOT NULL DEFAULT 0; -- signed up, and not approved yet

-- +goose Down
ALTER TABLE users DROP COLUMN pending;
