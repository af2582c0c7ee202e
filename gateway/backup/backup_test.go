package backup

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bridgehead/gateway/store"
)

// filled is a store with something of each kind that has secrets.
func filled(t *testing.T) (*store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	u, err1 := s.AddUser(t.Context(), store.User{Email: "ann@example.org", Role: store.RoleUser}, "a good password")
	_, err2 := s.AddMeeting(t.Context(), store.Meeting{Number: "7001", Kind: "permanent", Admission: "open", HostPasscode: "99887766", Owner: u.ID})
	_, err3 := s.AddDevice(t.Context(), store.Device{User: "room1", Password: "long enough"})
	err4 := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("a certificate"), 0o644)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestP94RestoreOnAnEmptyBox(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse"} {
		s, dir := filled(t)
		var file bytes.Buffer
		made, err := Write(t.Context(), &file, s, dir, "1.0", passphrase)
		if err != nil {
			t.Fatal(err)
		}
		if passphrase != "" && bytes.Contains(file.Bytes(), []byte("SQLite")) {
			t.Error("the backup is not encrypted")
		}
		to := filepath.Join(t.TempDir(), "new")
		got, err := Restore(t.Context(), &file, to, passphrase)
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range made.Files {
			if now, err := digest(filepath.Join(to, name)); got.Files[name] != f || err != nil || now != f {
				t.Errorf("%s: %v, was %v; %v", name, now, f, err)
			}
		}
		again, err := store.Open(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		m, err := again.Meeting(t.Context(), "7001")
		if err != nil || m.HostPasscode != "99887766" {
			t.Errorf("%+v, %v", m, err)
		}
		if _, err := again.CheckPassword(t.Context(), "ann@example.org", "a good password"); err != nil {
			t.Error(err)
		}
		again.Close()
		if left, _ := filepath.Glob(filepath.Join(to, ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestDamagedBackupRestoresNothing(t *testing.T) {
	s, dir := filled(t)
	var file bytes.Buffer
	if _, err := Write(t.Context(), &file, s, dir, "1.0", ""); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	try := func(what string, data []byte) {
		t.Helper()
		to := t.TempDir()
		if _, err := Restore(t.Context(), bytes.NewReader(data), to, ""); err == nil {
			t.Errorf("%s was restored", what)
		}
		if left, _ := os.ReadDir(to); len(left) > 0 {
			t.Errorf("%s leaves %v", what, left)
		}
	}
	try("nothing", nil)
	try("rubbish", []byte("rubbish"))
	for _, share := range []int{10, 50, 90, 99} {
		try("a part", whole[:len(whole)*share/100])
		bent := bytes.Clone(whole)
		bent[len(bent)*share/100] ^= 1
		try("a bent byte", bent)
	}
}

func TestRestoreOverwritesNothing(t *testing.T) {
	s, dir := filled(t)
	var file bytes.Buffer
	if _, err := Write(t.Context(), &file, s, dir, "1.0", "correct horse"); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), bytes.NewReader(file.Bytes()), dir, "correct horse"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("over a database: %v", err)
	}
	if _, err := Restore(t.Context(), bytes.NewReader(file.Bytes()), t.TempDir(), ""); !errors.Is(err, ErrPassphrase) {
		t.Errorf("without the passphrase: %v", err)
	}
	if _, err := Restore(t.Context(), bytes.NewReader(file.Bytes()), t.TempDir(), "wrong"); err == nil {
		t.Error("by a wrong passphrase")
	}
}
