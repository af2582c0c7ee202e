package main

import (
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
