-- +goose Up
ALTER TABLE meetings ADD COLUMN layout TEXT NOT NULL DEFAULT ''; -- of composed pictures; '': as configured

-- +goose Down
ALTER TABLE meetings DROP COLUMN layout;
