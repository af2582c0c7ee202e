-- +goose Up
-- The check of the admission named two ways; the API checks what is written.
ALTER TABLE meetings ADD COLUMN policy TEXT NOT NULL DEFAULT 'open';
UPDATE meetings SET policy = admission;
ALTER TABLE meetings DROP COLUMN admission;
ALTER TABLE meetings RENAME COLUMN policy TO admission;
ALTER TABLE meetings ADD COLUMN wait_for_host INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meetings ADD COLUMN mute_on_entry INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meetings ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meetings ADD COLUMN starts INTEGER NOT NULL DEFAULT 0; -- 0: at any time
ALTER TABLE meetings ADD COLUMN minutes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meetings ADD COLUMN zone TEXT NOT NULL DEFAULT '';     -- IANA name, in which it repeats
ALTER TABLE meetings ADD COLUMN repeats TEXT NOT NULL DEFAULT '';
CREATE TABLE hosts (                       -- accounts that are hosts beside the owner
  meeting TEXT NOT NULL REFERENCES meetings (number) ON DELETE CASCADE,
  user    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (meeting, user)
);
CREATE TABLE calendars (                   -- addresses of calendar subscriptions
  user TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  hash BLOB NOT NULL UNIQUE                -- SHA-256 of the secret in the address
);

-- +goose Down
DROP TABLE calendars;
DROP TABLE hosts;
ALTER TABLE meetings DROP COLUMN repeats;
ALTER TABLE meetings DROP COLUMN zone;
ALTER TABLE meetings DROP COLUMN minutes;
ALTER TABLE meetings DROP COLUMN starts;
ALTER TABLE meetings DROP COLUMN quiet;
ALTER TABLE meetings DROP COLUMN mute_on_entry;
ALTER TABLE meetings DROP COLUMN wait_for_host;
UPDATE meetings SET admission = 'accept' WHERE admission <> 'open';
