// Package backup writes all that a gateway must not lose to one file, and makes
// a data directory of it again: the database as it is at one moment, the key of
// its secrets, and the certificate. The file is a tar archive, compressed, whose
// first entry lists the others with their SHA-256; with a passphrase it is
// encrypted by age (age-encryption.org/v1).
package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"bridgehead/gateway/store"
)

// files are what a data directory is made of; not all need be there.
var files = []string{database, "secret.key", "tls.crt", "tls.key"}

const (
	database = "bridgehead.db"
	listing  = "manifest.json"
	maxList  = 64 << 10
)

// Manifest lists what is in a backup.
type Manifest struct {
	Made    time.Time       `json:"made"`
	Version string          `json:"version"` // of the program
	Files   map[string]File `json:"files"`
}

// File is one entry.
type File struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Write makes a backup of the data directory, whose gateway may run meanwhile.
// An empty passphrase leaves it unencrypted.
func Write(ctx context.Context, out io.Writer, s *store.Store, dir, version, passphrase string) (m Manifest, err error) {
	tmp, err := os.MkdirTemp(dir, ".backup-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(tmp)
	if err := s.Snapshot(ctx, filepath.Join(tmp, database)); err != nil {
		return m, fmt.Errorf("copy of the database: %w", err)
	}
	at := func(name string) string {
		if name == database {
			return filepath.Join(tmp, name)
		}
		return filepath.Join(dir, name)
	}
	m = Manifest{Made: time.Now().UTC().Truncate(time.Second), Version: version, Files: map[string]File{}}
	for _, name := range files {
		f, err := digest(at(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return m, err
		}
		m.Files[name] = f
	}
	return m, m.pack(out, at, passphrase)
}

func digest(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return File{n, hex.EncodeToString(h.Sum(nil))}, err
}

// pack writes manifest and files.
func (m Manifest) pack(out io.Writer, at func(string) string, passphrase string) error {
	closers := []io.Closer{}
	if passphrase != "" {
		who, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return err
		}
		sealed, err := age.Encrypt(out, who)
		if err != nil {
			return err
		}
		out, closers = sealed, append(closers, sealed)
	}
	zip := gzip.NewWriter(out)
	t := tar.NewWriter(zip)
	list, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := entry(t, listing, int64(len(list)), m.Made, bytes.NewReader(list)); err != nil {
		return err
	}
	for _, name := range files {
		f, ok := m.Files[name]
		if !ok {
			continue
		}
		in, err := os.Open(at(name))
		if err != nil {
			return err
		}
		err = entry(t, name, f.Size, m.Made, in)
		in.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, c := range append([]io.Closer{t, zip}, closers...) {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

func entry(t *tar.Writer, name string, size int64, at time.Time, in io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.CopyN(t, in, size)
	return err
}

// The errors of [Restore] that callers may want to explain.
var (
	ErrNotEmpty   = errors.New("there is a database in the directory already")
	ErrPassphrase = errors.New("the backup is encrypted: name the file with its passphrase")
)

// ageMark begins an encrypted file.
const ageMark = "age-encryption.org/"

// Restore makes a data directory of a backup: whole, or, if anything is wrong
// with it, not at all. The directory may exist, but without a database.
func Restore(ctx context.Context, in io.Reader, dir, passphrase string) (m Manifest, err error) {
	if _, err := os.Stat(filepath.Join(dir, database)); err == nil {
		return m, fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return m, err
	}
	tmp, err := os.MkdirTemp(dir, ".restore-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(tmp)
	plain, err := decrypt(in, passphrase)
	if err != nil {
		return m, err
	}
	if m, err = unpack(plain, tmp); err != nil {
		return m, fmt.Errorf("this is no whole backup: %w", err)
	}
	if err := prove(ctx, tmp); err != nil {
		return m, err
	}
	for _, name := range append(files[1:], database) { // the database last: with it, the directory counts as full
		err := os.Rename(filepath.Join(tmp, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return m, err
		}
	}
	return m, nil
}

func decrypt(in io.Reader, passphrase string) (io.Reader, error) {
	b := bufio.NewReader(in)
	if mark, _ := b.Peek(len(ageMark)); string(mark) != ageMark {
		return b, nil
	}
	if passphrase == "" {
		return nil, ErrPassphrase
	}
	who, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(b, who)
	if err != nil {
		return nil, fmt.Errorf("the passphrase does not open the backup: %w", err)
	}
	return plain, nil
}

// unpack writes what the manifest lists, and nothing else, to a directory.
func unpack(in io.Reader, dir string) (m Manifest, err error) {
	zip, err := gzip.NewReader(in)
	if err != nil {
		return m, err
	}
	t := tar.NewReader(zip)
	h, err := t.Next()
	if err != nil || h.Name != listing || h.Size > maxList {
		return m, errors.Join(errors.New("it does not begin with a manifest"), err)
	}
	if err := json.NewDecoder(t).Decode(&m); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	for _, name := range files {
		want, ok := m.Files[name]
		if !ok {
			continue
		}
		h, err := t.Next()
		if err != nil || h.Name != name || h.Size != want.Size {
			return m, errors.Join(fmt.Errorf("%s is not where it should be", name), err)
		}
		if err := keep(filepath.Join(dir, name), t, want); err != nil {
			return m, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range []string{database, "secret.key"} {
		if _, ok := m.Files[name]; !ok {
			return m, fmt.Errorf("it has no %s", name)
		}
	}
	return m, nil
}

func keep(name string, in io.Reader, want File) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), in)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
		return errors.New("its checksum is wrong")
	}
	return nil
}

// prove opens a copy of what was unpacked, as the gateway would, and reads all of
// it: what is restored stays as it was, bit by bit.
func prove(ctx context.Context, dir string) error {
	copies, err := os.MkdirTemp(filepath.Dir(dir), ".proof-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(copies)
	if err := os.CopyFS(copies, os.DirFS(dir)); err != nil {
		return err
	}
	s, err := store.Open(ctx, copies)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Check(ctx); err != nil {
		return err
	}
	_, err = s.Meetings(ctx) // opens sealed passcodes: the key fits
	return err
}
