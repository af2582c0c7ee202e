-- +goose Up
ALTER TABLE calls ADD COLUMN media TEXT NOT NULL DEFAULT '[]'; -- JSON: how sound went over the call's time
-- What a call exchanged is kept for less long than its record.
CREATE INDEX calls_traced ON calls (started) WHERE ladder <> '[]' OR media <> '[]';

-- +goose Down
DROP INDEX calls_traced;
ALTER TABLE calls DROP COLUMN media;
