-- +goose Up
CREATE TABLE groups (
  id      TEXT PRIMARY KEY,
  name    TEXT NOT NULL UNIQUE COLLATE NOCASE,
  created INTEGER NOT NULL
);
CREATE TABLE grouped (                     -- of groups: an account or a device
  "group" TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  user    TEXT REFERENCES users (id) ON DELETE CASCADE,
  device  TEXT REFERENCES devices (id) ON DELETE CASCADE,
  CHECK ((user IS NULL) <> (device IS NULL)),
  UNIQUE ("group", user),
  UNIQUE ("group", device)
);
CREATE INDEX grouped_user ON grouped (user);
CREATE INDEX grouped_device ON grouped (device);

-- +goose Down
DROP TABLE grouped; DROP TABLE groups;
