-- +goose Up
ALTER TABLE meetings ADD COLUMN presenting TEXT NOT NULL DEFAULT ''; -- who presents when two want to; '': who begins takes over

-- +goose Down
ALTER TABLE meetings DROP COLUMN presenting;
