package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bridgehead/core"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
)

// adminCommands administer from the shell. They work on the database, so the
// server may run or not; a running one notices within a second.
func adminCommands() []*cobra.Command {
	return []*cobra.Command{userCommand(), meetingCommand(), trunkCommand(), numberCommand(), dialplanCommand(), deviceCommand(), tokenCommand()}
}

// group is a command with add, list and remove below it.
func group(name, short string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short}
	c.PersistentFlags().String("data", envOr("BRIDGEHEAD_DATA", "./data"), "directory of all state")
	c.PersistentFlags().String("config", os.Getenv("BRIDGEHEAD_CONFIG"), "configuration file, for what calls are led by")
	c.PersistentFlags().Bool("json", false, "print JSON")
	c.AddCommand(sub...)
	return c
}

func envOr(name, fallback string) string {
	if v, ok := os.LookupEnv(name); ok {
		return v
	}
	return fallback
}

// with runs f on the database and prints what it returns.
func with(f func(ctx context.Context, s *store.Store, args []string) (any, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		dir, _ := cmd.Flags().GetString("data")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		s, err := store.Open(cmd.Context(), dir)
		if err != nil {
			return err
		}
		defer s.Close()
		v, err := f(cmd.Context(), s, args)
		if err != nil {
			return fmt.Errorf("%s: %w", cmd.CommandPath(), plain(err))
		}
		if !slices.Contains([]string{"list", "simulate", "expectations"}, cmd.Name()) {
			if err := s.Audit(cmd.Context(), act(cmd, args)); err != nil {
				return fmt.Errorf("%s is done, but not in the audit log: %w", cmd.CommandPath(), err)
			}
		}
		asJSON, _ := cmd.Flags().GetBool("json")
		return show(cmd, v, asJSON)
	}
}

// act is a command's entry in the audit log: flags by their names only, since
// some are secret.
func act(cmd *cobra.Command, args []string) store.Act {
	var flags []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "data" && f.Name != "json" && f.Name != "config" {
			flags = append(flags, f.Name)
		}
	})
	return store.Act{Name: "command line", Act: cmd.Name() + "-" + cmd.Parent().Name(), Object: strings.Join(args, " "), Detail: strings.Join(flags, " ")}
}

// plain makes an API problem a line of text.
func plain(err error) error {
	if err == store.ErrNotFound {
		return fmt.Errorf("there is nothing by this name")
	}
	if err == store.ErrExists {
		return fmt.Errorf("this name or number is taken already")
	}
	if r := (core.Reason{}); errors.As(err, &r) && r.Say != "" {
		return errors.New(r.Say)
	}
	return err
}

// show prints a value as JSON, or its fields as a table.
func show(cmd *cobra.Command, v any, asJSON bool) error {
	out := cmd.OutOrStdout()
	if v == nil {
		if asJSON {
			fmt.Fprintln(out, "{}")
			return nil
		}
		fmt.Fprintln(out, "done")
		return nil
	}
	if text, ok := v.(fmt.Stringer); ok && !asJSON {
		fmt.Fprintln(out, text)
		return nil
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if asJSON {
		fmt.Fprintln(out, string(data))
		return nil
	}
	if data, err = json.Marshal(v); err != nil { // a cell is a line
		return err
	}
	rows, err := table(data)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// table turns a JSON object, or a list of them, into rows with a heading.
func table(data []byte) ([][]string, error) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		list = []json.RawMessage{data}
	}
	var rows [][]string
	for i, item := range list {
		d := json.NewDecoder(strings.NewReader(string(item)))
		var head, row []string
		for depth := 0; ; {
			t, err := d.Token()
			if err != nil {
				break
			}
			if delim, ok := t.(json.Delim); ok && delim == '{' && depth == 0 {
				depth++
				continue
			}
			key, ok := t.(string)
			if !ok {
				continue
			}
			var v json.RawMessage
			if err := d.Decode(&v); err != nil {
				return nil, err
			}
			head, row = append(head, strings.ToUpper(key)), append(row, strings.Trim(string(v), `"`))
		}
		if i == 0 {
			rows = append(rows, head)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func userCommand() *cobra.Command {
	var name, password, role string
	add := &cobra.Command{Use: "add EMAIL", Short: "Make an account; without --password one is chosen and printed", Args: cobra.ExactArgs(1),
		RunE: with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
			chosen := password
			if chosen == "" {
				chosen = store.NewSecret()
			}
			switch store.Role(role) {
			case store.RoleUser, store.RoleSuperuser, store.RoleAdministrator:
			default:
				return nil, fmt.Errorf("role %q: write user, superuser or administrator", role)
			}
			u, err := s.AddUser(ctx, store.User{Email: args[0], DisplayName: name, Role: store.Role(role)}, chosen)
			if password != "" || err != nil {
				return u, err
			}
			return struct {
				store.User
				Password string `json:"password"`
			}{u, chosen}, nil
		})}
	add.Flags().StringVar(&name, "name", "", "name to show")
	add.Flags().StringVar(&password, "password", "", "password")
	add.Flags().StringVar(&role, "role", "user", "user, superuser or administrator")
	return group("user", "Accounts that sign in", add,
		&cobra.Command{Use: "list", Short: "List accounts", Args: cobra.NoArgs, RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) { return s.Users(ctx) })},
		&cobra.Command{Use: "remove EMAIL", Short: "Remove an account and erase what is kept about it", Args: cobra.ExactArgs(1), RunE: with(removeUser)},
		resetUser(), &cobra.Command{Use: "export EMAIL", Short: "Print all that is kept about an account's owner, as JSON", Args: cobra.ExactArgs(1), RunE: exportUser})
}

// resetUser is for who has lost a password or passkeys, the last administrator
// among them.
func resetUser() *cobra.Command {
	var password string
	c := &cobra.Command{Use: "reset EMAIL", Short: "Give an account a new password, and remove its passkeys; without --password one is chosen and printed", Args: cobra.ExactArgs(1),
		RunE: with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
			u, err := s.User(ctx, args[0])
			if err != nil {
				return nil, err
			}
			args[0] = u.ID
			chosen := cmp.Or(password, store.NewSecret())
			if err := errors.Join(s.SetPassword(ctx, u.ID, chosen, ""), s.RemovePasskeys(ctx, u.ID)); err != nil || password != "" {
				return nil, err
			}
			return map[string]string{"password": chosen}, nil
		})}
	c.Flags().StringVar(&password, "password", "", "password")
	return c
}

func exportUser(cmd *cobra.Command, args []string) error {
	if err := cmd.Flags().Set("json", "true"); err != nil { // tables are of one kind
		return err
	}
	return with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
		u, err := s.User(ctx, args[0])
		if err != nil {
			return nil, err
		}
		args[0] = u.ID // the audit log needs no address
		return s.Export(ctx, u.ID, false)
	})(cmd, args)
}

func removeUser(ctx context.Context, s *store.Store, args []string) (any, error) {
	u, err := s.User(ctx, args[0])
	if err != nil {
		return nil, err
	}
	args[0] = u.ID // the audit log is not to hold the address that is erased
	return nil, s.RemoveUser(ctx, u.ID)
}

func remove(what, short string, f func(*store.Store, context.Context, string) error) *cobra.Command {
	return &cobra.Command{Use: "remove " + what, Short: short, Args: cobra.ExactArgs(1),
		RunE: with(func(ctx context.Context, s *store.Store, args []string) (any, error) { return nil, f(s, ctx, args[0]) })}
}

// meetingLine is a meeting without its passcodes.
type meetingLine struct {
	Number    string `json:"number"`
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Admission string `json:"admission"`
	Hidden    bool   `json:"hidden"`
	Passcodes string `json:"passcodes"`
}

func lineOf(m store.Meeting) meetingLine {
	var has []string
	if m.HostPasscode != "" {
		has = append(has, "host")
	}
	if m.GuestPasscode != "" {
		has = append(has, "guest")
	}
	return meetingLine{m.Number, m.Name, m.Kind, m.Admission, m.Hidden, strings.Join(has, "+")}
}

func meetingCommand() *cobra.Command {
	m := store.Meeting{}
	oneTime := false
	add := &cobra.Command{Use: "add [NUMBER]", Short: "Make a meeting; without NUMBER one is chosen", Args: cobra.MaximumNArgs(1),
		RunE: with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
			if len(args) == 1 {
				m.Number = args[0]
			}
			m.Kind = map[bool]string{true: "one-time", false: "permanent"}[oneTime]
			if !slices.Contains([]string{"open", "accept", "accept-any", "known"}, m.Admission) {
				return nil, fmt.Errorf("--admission %s: write open, accept, accept-any or known", m.Admission)
			}
			for what, v := range map[string]string{"NUMBER": m.Number, "host passcode": m.HostPasscode, "guest passcode": m.GuestPasscode} {
				if strings.Trim(v, "0123456789") != "" {
					return nil, fmt.Errorf("%s: write digits only", what)
				}
			}
			made, err := s.AddMeeting(ctx, m)
			return lineOf(made), err
		})}
	f := add.Flags()
	f.StringVar(&m.Name, "name", "", "name to show")
	f.StringVar(&m.HostPasscode, "host-passcode", "", "digits that make a host")
	f.StringVar(&m.GuestPasscode, "guest-passcode", "", "digits that guests must enter")
	f.StringVar(&m.Admission, "admission", "open", "open; accept: a host accepts each guest; accept-any: anybody inside does; known: a host does, but registered devices and who is signed in come in")
	f.BoolVar(&m.WaitForHost, "wait-for-host", false, "guests hear music until a host is there")
	f.BoolVar(&m.MuteOnEntry, "mute-on-entry", false, "guests come in muted")
	f.BoolVar(&m.Quiet, "quiet", false, "do not announce comings and goings")
	f.BoolVar(&m.EncryptedOnly, "encrypted-only", false, "take encrypted calls only")
	f.BoolVar(&m.Hidden, "hidden", false, "do not list it")
	f.BoolVar(&oneTime, "one-time", false, "delete it when it ends")
	f.StringVar(&m.Layout, "layout", "", "layout of the picture of SIP and H.323 systems; as configured when empty")
	f.IntVar(&m.MaxParticipants, "max-participants", 0, "0: no limit")
	return group("meeting", "Meetings", add,
		&cobra.Command{Use: "list", Short: "List meetings", Args: cobra.NoArgs, RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) {
			all, err := s.Meetings(ctx)
			lines := []meetingLine{}
			for _, m := range all {
				lines = append(lines, lineOf(m))
			}
			return lines, err
		})}, remove("NUMBER", "Delete a meeting", (*store.Store).RemoveMeeting))
}

func numberCommand() *cobra.Command {
	n, open := store.Number{InInvites: true}, ""
	var hours store.Hours
	add := &cobra.Command{Use: "add +NUMBER", Short: "Let a telephone number lead to the reception, a meeting or a user", Args: cobra.ExactArgs(1),
		RunE: kept(func(ctx context.Context, s *store.Store, args []string) (any, error) {
			n.Number = args[0]
			if !strings.HasPrefix(n.Number, "+") || strings.Trim(n.Number[1:], "0123456789") != "" {
				return nil, fmt.Errorf("number %q: write it with country code, such as +15550100", n.Number)
			}
			if open != "" {
				spans, err := dialplan.ParseHours(open)
				if err != nil {
					return nil, err
				}
				hours.Open, n.Hours = spans, &hours
			}
			if err := dialplan.CheckNumber(ctx, s, &n); err != nil {
				return nil, err
			}
			return n, s.AddNumber(ctx, n)
		})}
	f := add.Flags()
	f.StringVar(&n.Trunk, "trunk", "", "name of the trunk that it comes over")
	f.StringVar(&n.Target, "target", "reception", "reception, meeting:NUMBER or user:EMAIL")
	f.StringVar(&n.Label, "label", "", "label in invitations")
	f.StringVar(&n.Country, "country", "", "ISO code of its country; found by the number when empty")
	f.StringVar(&n.Language, "language", "", "ISO code of the language that its callers are spoken to in")
	f.BoolVar(&n.InInvites, "in-invites", true, "list it in invitations")
	f.BoolVar(&n.NoPasscode, "no-passcode", false, "let its callers into the meeting as guests without its passcode")
	f.StringVar(&open, "hours", "", "when it is open, such as \"mon-fri 08:00-18:00, sat 09:00-12:00\"; at any time when empty")
	f.StringVar(&hours.TimeZone, "time-zone", "UTC", "by whose clock, such as Europe/Berlin")
	f.StringVar(&hours.Otherwise, "closed", "", "where it leads while closed, as --target; an announcement when empty")
	return group("number", "Telephone numbers", add,
		&cobra.Command{Use: "list", Short: "List numbers", Args: cobra.NoArgs, RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) { return s.Numbers(ctx) })},
		removeLine("+NUMBER", "Remove a number", (*store.Store).RemoveNumber))
}

func deviceCommand() *cobra.Command {
	d := store.Device{}
	add := &cobra.Command{Use: "add USER", Short: "Let a SIP or H.323 endpoint register; without --password one is chosen and printed", Args: cobra.ExactArgs(1),
		RunE: with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
			d.User = args[0]
			chosen := d.Password == ""
			if chosen {
				d.Password = store.NewSecret()
			}
			made, err := s.AddDevice(ctx, d)
			if !chosen || err != nil {
				return made, err
			}
			return struct {
				store.Device
				Password string `json:"password"`
			}{made, d.Password}, nil
		})}
	f := add.Flags()
	f.StringVar(&d.Password, "password", "", "password")
	f.StringVar(&d.Name, "name", "", "name to show")
	f.StringVar(&d.Extension, "extension", "", "number that it is dialled by")
	return group("device", "SIP and H.323 endpoints", add,
		&cobra.Command{Use: "list", Short: "List devices", Args: cobra.NoArgs, RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) { return s.Devices(ctx) })},
		remove("USER", "Revoke a device", (*store.Store).RemoveDevice))
}

func tokenCommand() *cobra.Command {
	var user, name string
	var days int
	add := &cobra.Command{Use: "add", Short: "Make an API token; it is printed only once", Args: cobra.NoArgs,
		RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) {
			u, err := s.User(ctx, user)
			if err != nil {
				return nil, fmt.Errorf("user %q: there is none by this name", user)
			}
			secret, t, err := s.AddToken(ctx, u.ID, name, time.Duration(days)*24*time.Hour)
			return struct {
				store.Token
				Secret string `json:"token"`
			}{t, secret}, err
		})}
	f := add.Flags()
	f.StringVar(&user, "user", firstAdministrator, "whose token it is")
	f.StringVar(&name, "name", "shell", "what it is for")
	f.IntVar(&days, "days", 0, "days that it is valid; 0: until removed")
	return group("token", "API tokens", add,
		&cobra.Command{Use: "list", Short: "List tokens", Args: cobra.NoArgs, RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) { return s.Tokens(ctx, "") })},
		remove("ID", "Revoke a token", (*store.Store).RemoveToken))
}
