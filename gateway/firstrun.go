package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"

	"bridgehead/gateway/store"
)

// login is what DIR/first-login.json holds.
type login struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	Token    string `json:"token"`
}

const firstAdministrator = "admin@localhost"

// firstRun makes the administrator and the demo meeting on an empty data
// directory, and prints how to use them. There is no default password.
func firstRun(ctx context.Context, s *store.Store, dir string, at addresses, out io.Writer) error {
	users, err := s.Users(ctx)
	if err != nil || len(users) > 0 {
		return err
	}
	l := login{URL: at.web(), User: firstAdministrator, Password: store.NewSecret()}
	var demo store.Meeting
	// The file is written before anything is kept: whenever this is cut off, it
	// either begins anew at the next start or is complete.
	err = s.Atomically(ctx, func(ctx context.Context) error {
		admin, err := s.AddUser(ctx, store.User{Email: l.User, DisplayName: "Administrator", Role: store.RoleAdministrator}, l.Password)
		if err != nil {
			return fmt.Errorf("first administrator: %w", err)
		}
		if l.Token, _, err = s.AddToken(ctx, admin.ID, "first login", 0); err != nil {
			return err
		}
		demo, err = s.AddMeeting(ctx, store.Meeting{Name: "Demo meeting", Kind: "permanent", Admission: "open", Owner: admin.ID,
			GuestPasscode: digits(6), HostPasscode: digits(8)})
		if err != nil {
			return fmt.Errorf("demo meeting: %w", err)
		}
		return replaceJSON(filepath.Join(dir, "first-login.json"), 0o600, l)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, `
Welcome to Bridgehead. This is the first start, so two things were made for you:

  Administrator   %s
  Password        %s
                  (also in %s; printed only this once)

  Demo meeting    %s
  Passcode        %s   (host: %s)
    in a browser  %s
    SIP over TLS  %s
`, l.User, l.Password, filepath.Join(dir, "first-login.json"), demo.Number, demo.GuestPasscode, demo.HostPasscode,
		at.join(demo.Number), at.dial(demo.Number, demo.GuestPasscode))
	if at["h323"] != "" {
		fmt.Fprintf(out, "    H.323         h323:%s**%s@%s\n", demo.Number, demo.GuestPasscode, reachable(at["h323"]))
	}
	fmt.Fprintln(out)
	return nil
}

// digits is a random number of n digits without a leading zero.
func digits(n int) string {
	low := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n-1)), nil)
	x, err := rand.Int(rand.Reader, new(big.Int).Mul(low, big.NewInt(9)))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return x.Add(x, low).String()
}

// replaceFile writes a file whole or not at all.
func replaceFile(name string, mode os.FileMode, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	return os.Rename(f.Name(), name)
}

// replaceJSON writes a file that holds v.
func replaceJSON(name string, mode os.FileMode, v any) error {
	return replaceFile(name, mode, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	})
}
