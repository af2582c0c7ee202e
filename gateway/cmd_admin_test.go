package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"bridgehead/gateway/store"
)

func TestCommandLineIsInTheAuditLog(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"add", "ann@example.org", "--password", "s3cret s3cret"}, {"list"}, {"remove", "ann@example.org"}, {"remove", "nobody@example.org"}} {
		c := userCommand()
		c.SetArgs(append(args, "--data", dir))
		c.SetOut(io.Discard)
		c.SetErr(io.Discard)
		c.SilenceUsage = true
		if err := c.ExecuteContext(t.Context()); (err != nil) != (args[len(args)-1] == "nobody@example.org") {
			t.Fatalf("%v: %v", args, err)
		}
	}
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Acts(t.Context(), 0, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	id := list[0].Object // of the account: its address is erased
	if id == "" || id == "ann@example.org" {
		t.Errorf("removed: %q", id)
	}
	for i, want := range []store.Act{{Act: "remove-user"}, {Act: "add-user", Detail: "password"}} {
		want.ID, want.At, want.Name, want.Object = list[i].ID, list[i].At, "command line", id
		if list[i] != want {
			t.Errorf("%+v, want %+v", list[i], want)
		}
	}
}

func TestAccountIsResetAndExportedFromTheShell(t *testing.T) {
	dir := t.TempDir()
	run := func(out any, args ...string) {
		t.Helper()
		c, text := userCommand(), bytes.Buffer{}
		c.SetArgs(append(args, "--data", dir, "--json"))
		c.SetOut(&text)
		if err := c.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if err := json.Unmarshal(text.Bytes(), out); err != nil {
			t.Fatalf("%v: %s: %v", args, text.String(), err)
		}
	}
	var u store.User
	run(&u, "add", "ann@example.org", "--password", "first password")
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err = s.AddPasskey(t.Context(), store.Passkey{User: u.ID, Handle: []byte("x"), Credential: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if err = s.SecondFactor(t.Context(), u.ID, true); err != nil {
		t.Fatal(err)
	}
	var reset struct{ Password string }
	run(&reset, "reset", "ann@example.org")
	if got, err := s.CheckPassword(t.Context(), "ann@example.org", reset.Password); err != nil || got.SecondFactor {
		t.Errorf("with the new password: %+v, %v", got, err)
	}
	var all store.Export
	run(&all, "export", "ann@example.org")
	if len(all["account"]) != 1 || all["account"][0]["email"] != "ann@example.org" || len(all["passkeys"]) != 0 {
		t.Errorf("the export is %v", all)
	}
}
