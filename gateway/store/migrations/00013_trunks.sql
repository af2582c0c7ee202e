-- +goose Up
ALTER TABLE trunks ADD COLUMN secrets BLOB; -- sealed JSON: the password of calls in, the key of the client certificate

-- +goose Down
ALTER TABLE trunks DROP COLUMN secrets;
