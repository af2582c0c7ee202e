package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Setting reads what was set under a key at run time; to keeps its value where
// nothing was.
func (s *Store) Setting(ctx context.Context, key string, to any) error {
	kept, err := one(ctx, s, value[[]byte], `SELECT value FROM settings WHERE key = ?`, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if err := json.Unmarshal(kept, to); err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	return nil
}

// Set keeps a value, as JSON, under a key.
func (s *Store) Set(ctx context.Context, key string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.exec(ctx, `INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, b)
}

// SecretSetting reads what was set by [Store.SetSecret]; empty: nothing was.
func (s *Store) SecretSetting(ctx context.Context, key string) (string, error) {
	var sealed []byte
	if err := s.Setting(ctx, key, &sealed); err != nil {
		return "", err
	}
	return s.seal.openAs("setting "+key, sealed)
}

// SetSecret keeps a secret under a key, sealed.
func (s *Store) SetSecret(ctx context.Context, key, secret string) error {
	return s.Set(ctx, key, s.seal.sealAs("setting "+key, secret))
}
