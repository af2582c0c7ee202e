-- +goose Up
ALTER TABLE users ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;    -- not in the directory
ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;  -- cannot sign in
ALTER TABLE devices ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN owner TEXT REFERENCES users (id) ON DELETE SET NULL; -- whose room system it is; NULL: nobody's

-- +goose Down
ALTER TABLE devices DROP COLUMN owner;
ALTER TABLE devices DROP COLUMN hidden;
ALTER TABLE users DROP COLUMN disabled;
ALTER TABLE users DROP COLUMN hidden;
