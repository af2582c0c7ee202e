-- +goose Up
-- A session is the token of a browser that signed in.
ALTER TABLE tokens ADD COLUMN session INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN agent TEXT NOT NULL DEFAULT '';   -- kind of browser and system, no more
ALTER TABLE tokens ADD COLUMN used INTEGER NOT NULL DEFAULT 0;  -- day of its last use; 0: never
UPDATE tokens SET session = 1 WHERE name = 'session' AND expires <> 0;

-- +goose Down
ALTER TABLE tokens DROP COLUMN used;
ALTER TABLE tokens DROP COLUMN agent;
ALTER TABLE tokens DROP COLUMN session;
