-- +goose Up
CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL                      -- JSON
);
CREATE TABLE conversations (
  id      TEXT PRIMARY KEY,
  kind    TEXT NOT NULL CHECK (kind IN ('direct', 'group', 'meeting')),
  name    BLOB,                            -- of a group, sealed
  meeting TEXT UNIQUE REFERENCES meetings (number) ON DELETE CASCADE ON UPDATE CASCADE,
  created INTEGER NOT NULL
);
CREATE TABLE members (                     -- of conversations that are no meeting's
  conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  user         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  since        INTEGER NOT NULL,           -- messages behind this one are theirs to read
  PRIMARY KEY (conversation, user)
);
CREATE INDEX members_user ON members (user);
CREATE TABLE stays (                       -- of accounts in meetings while something was said
  conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  user         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  start        INTEGER NOT NULL,           -- Unix milliseconds
  finish       INTEGER NOT NULL DEFAULT 0, -- 0: not yet
  PRIMARY KEY (user, conversation, start)
);
CREATE TABLE messages (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  sender       TEXT REFERENCES users (id) ON DELETE SET NULL, -- NULL: no account, or none any more
  at           INTEGER NOT NULL,           -- Unix milliseconds
  body         BLOB NOT NULL               -- sealed, bound to id and conversation
);
CREATE INDEX messages_conversation ON messages (conversation, id);
CREATE INDEX messages_at ON messages (at);
CREATE TABLE seen (                        -- how far somebody has read
  conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  user         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  message      INTEGER NOT NULL,
  PRIMARY KEY (conversation, user)
);
-- Who may read what: members, a meeting's owner, and who was there.
CREATE VIEW readable AS
  SELECT g.id, g.conversation, m.user AS reader FROM members m JOIN messages g ON g.conversation = m.conversation AND g.id > m.since
  UNION
  SELECT g.id, g.conversation, t.owner FROM meetings t JOIN conversations c ON c.meeting = t.number JOIN messages g ON g.conversation = c.id WHERE t.owner IS NOT NULL
  UNION
  SELECT g.id, g.conversation, s.user FROM stays s JOIN messages g ON g.conversation = s.conversation AND g.at >= s.start AND (s.finish = 0 OR g.at <= s.finish);
-- +goose StatementBegin
CREATE TRIGGER settings_insert AFTER INSERT ON settings BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER settings_update AFTER UPDATE ON settings BEGIN UPDATE changes SET n = n + 1; END;
-- +goose StatementEnd

-- +goose Down
DROP VIEW readable; DROP TABLE seen; DROP TABLE messages; DROP TABLE stays; DROP TABLE members; DROP TABLE conversations; DROP TABLE settings;
