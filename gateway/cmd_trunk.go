package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bridgehead/gateway/api"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/lines"
	"bridgehead/gateway/store"
	"bridgehead/sip"
)

func trunkCommand() *cobra.Command {
	return group("trunk", "Lines to the telephone network", addTrunk(), changeTrunk(), checkTrunk(), listTemplates(),
		&cobra.Command{Use: "list", Short: "List trunks", Args: cobra.NoArgs, RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) { return s.Trunks(ctx) })},
		removeLine("NAME", "Remove a trunk", (*store.Store).RemoveTrunk))
}

func addTrunk() *cobra.Command {
	t := api.NewTrunk()
	var disabled, checked bool
	var template string
	c := &cobra.Command{Use: "add NAME", Short: "Make a trunk", Args: cobra.ExactArgs(1),
		Long: "Make a trunk. It is in use at once, on the word of who makes it; with --check only if its check passes."}
	flags := trunkFlags(c.Flags(), &t)
	c.Flags().BoolVar(&disabled, "disabled", false, "do not use it yet")
	c.Flags().BoolVar(&checked, "check", false, "use it only if its check passes")
	c.Flags().StringVar(&template, "template", "", "begin with a carrier's template; trunk templates lists them")
	c.RunE = leading(func(ctx context.Context, s *store.Store, home dialplan.Home, args []string) (any, error) {
		if template != "" {
			given := t
			t = api.NewTrunk()
			if err := lines.Apply(template, &t); err != nil {
				return nil, err
			}
			flags.copy(c.Flags(), &given, &t)
		}
		t.Name, t.Enabled, t.OverrideCheck = args[0], !disabled, !checked
		if err := errors.Join(api.CheckTrunkSettings(&t), mayEnable(ctx, c, t)); err != nil {
			return nil, err
		}
		err := dialplan.Change(ctx, s, home, func(ctx context.Context) (err error) {
			t, err = s.AddTrunk(ctx, t)
			return err
		})
		return t, err
	})
	return c
}

func changeTrunk() *cobra.Command {
	given := api.NewTrunk()
	c := &cobra.Command{Use: "change NAME", Short: "Change a trunk; what is not given stays", Args: cobra.ExactArgs(1)}
	flags := trunkFlags(c.Flags(), &given)
	flags.add(c.Flags(), &given, "name", "new name", func(t *store.Trunk) any { return &t.Name })
	flags.add(c.Flags(), &given, "enabled", "use it", func(t *store.Trunk) any { return &t.Enabled })
	flags.add(c.Flags(), &given, "override-check", "enable it although its check has not passed", func(t *store.Trunk) any { return &t.OverrideCheck })
	c.RunE = leading(func(ctx context.Context, s *store.Store, home dialplan.Home, args []string) (any, error) {
		t, err := s.Trunk(ctx, args[0])
		if err != nil {
			return nil, err
		}
		flags.copy(c.Flags(), &given, &t)
		if err := errors.Join(api.CheckTrunkSettings(&t), mayEnable(ctx, c, t)); err != nil {
			return nil, err
		}
		return t, dialplan.Change(ctx, s, home, func(ctx context.Context) error { return s.UpdateTrunk(ctx, t) })
	})
	return c
}

// mayEnable refuses to enable a trunk whose check fails, unless that is
// overridden.
func mayEnable(ctx context.Context, c *cobra.Command, t store.Trunk) error {
	if !t.Enabled || t.OverrideCheck {
		return nil
	}
	list, err := tryAlone(ctx, c, t)
	for _, l := range list {
		if !l.OK {
			return fmt.Errorf("its check failed: %s: %s. %s", l.What, l.Detail, l.Remedy)
		}
	}
	return err
}

func checkTrunk() *cobra.Command {
	c := &cobra.Command{Use: "check NAME", Short: "Try a trunk step by step: signing, name, connection, TLS, OPTIONS, REGISTER, NAT, clock, codecs", Args: cobra.ExactArgs(1),
		Long: "Tries a trunk step by step and says of each fault what to do about it. Exit status 1 on any."}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var faults int
		err := with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
			t, err := s.Trunk(ctx, args[0])
			if err != nil {
				return nil, err
			}
			list, err := tryAlone(ctx, cmd, t)
			for _, l := range list {
				if !l.OK {
					faults++
				}
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				return list, err
			}
			return written(list), err
		})(cmd, args)
		if err == nil && faults > 0 {
			return fmt.Errorf("trunk %s has faults: %d", args[0], faults)
		}
		return err
	}
	return c
}

// written are the lines of a check as people read them.
func written(list []lines.CheckLine) any {
	type row struct {
		Verdict string `json:"verdict"`
		What    string `json:"what"`
		Detail  string `json:"detail"`
	}
	var rows []row
	for _, l := range list {
		r := row{"ok", l.What, l.Detail}
		if !l.OK {
			r.Verdict, r.Detail = "FAULT", l.Detail+". "+l.Remedy
		}
		rows = append(rows, r)
	}
	return rows
}

// tryAlone checks a trunk from the shell, whether a gateway runs or not.
func tryAlone(ctx context.Context, c *cobra.Command, t store.Trunk) ([]lines.CheckLine, error) {
	dir, _ := c.Flags().GetString("data")
	lock, err := lockData(dir)
	running := errors.Is(err, errRunning)
	if err == nil {
		defer lock.Close()
	} else if !running {
		return nil, err
	}
	return tryTrunk(ctx, t, running)
}

// tryTrunk checks a trunk from this process; running says that a gateway has it.
func tryTrunk(ctx context.Context, t store.Trunk, running bool) ([]lines.CheckLine, error) {
	edge, err := sip.New(sip.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer edge.Close()
	return lines.Checker{Edge: edge, Foreign: running}.Check(ctx, t), nil
}

func listTemplates() *cobra.Command {
	return &cobra.Command{Use: "templates", Short: "List the templates of carriers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, _ := cmd.Flags().GetBool("json")
			if asJSON {
				return show(cmd, lines.Templates(), true)
			}
			type row struct {
				ID    string `json:"id"`
				Name  string `json:"name"`
				Hints string `json:"hints"`
			}
			var rows []row
			for _, t := range lines.Templates() {
				rows = append(rows, row{t.ID, t.Name, t.Hints})
			}
			return show(cmd, rows, false)
		}}
}

// fields are flags by the field of a trunk that each sets.
type fields map[string]func(*store.Trunk) any

// trunkFlags makes a flag for each setting.
func trunkFlags(f *pflag.FlagSet, t *store.Trunk) fields {
	of := fields{}
	for _, x := range []struct {
		name, doc string
		field     func(*store.Trunk) any
	}{
		{"mode", "static, register or both", func(t *store.Trunk) any { return &t.Mode }},
		{"transport", "udp, tcp or tls", func(t *store.Trunk) any { return &t.Transport }},
		{"host", "the carrier's host name or address, with :port if unusual", func(t *store.Trunk) any { return &t.Host }},
		{"username", "user name for digest authentication", func(t *store.Trunk) any { return &t.Username }},
		{"password", "its password", func(t *store.Trunk) any { return &t.Password }},
		{"realm", "realm whose challenge is answered; any when empty", func(t *store.Trunk) any { return &t.Realm }},
		{"in-password", "password that calls in must prove with in-username", func(t *store.Trunk) any { return &t.InPassword }},
		{"tls-key", "PEM file of the private key of tls-certificate", func(t *store.Trunk) any { return (*pemFile)(&t.TLSKey) }},
		{"stir-key", "PEM file of the private key of stir-certificate", func(t *store.Trunk) any { return (*pemFile)(&t.StirKey) }},
		{"source", "networks that calls may come from; none when empty", func(t *store.Trunk) any { return &t.Source }},
		{"media-encryption", "none, optional or required", func(t *store.Trunk) any { return &t.MediaEncryption }},
		{"codecs", "PCMA, PCMU, G722, opus in order of preference", func(t *store.Trunk) any { return &t.Codecs }},
		{"country", "ISO code, for numbers without country code", func(t *store.Trunk) any { return &t.Country }},
		{"caller-id", "number shown to those called", func(t *store.Trunk) any { return &t.CallerID }},
		{"prefix", "put before numbers dialled", func(t *store.Trunk) any { return &t.Prefix }},
		{"strip", "characters cut off numbers dialled", func(t *store.Trunk) any { return &t.Strip }},
		{"priority", "trunks with the lowest are tried first", func(t *store.Trunk) any { return &t.Priority }},
		{"weight", "share among trunks of one priority", func(t *store.Trunk) any { return &t.Weight }},
		{"max-channels", "calls at one time; 0: no limit", func(t *store.Trunk) any { return &t.MaxChannels }},
		{"calls-per-second", "new calls a second", func(t *store.Trunk) any { return &t.CallsPerSecond }},
		{"insecure-tls", "do not check the far end's certificate", func(t *store.Trunk) any { return &t.Insecure }},
	} {
		of.add(f, t, x.name, x.doc, x.field)
	}
	options := reflect.TypeFor[store.TrunkOptions]()
	for i := range options.NumField() {
		tag := options.Field(i).Tag
		name, _, _ := strings.Cut(tag.Get("json"), ",")
		pem := name == "tls_ca" || strings.HasSuffix(name, "_certificate")
		of.add(f, t, strings.ReplaceAll(name, "_", "-"), tag.Get("doc"), func(t *store.Trunk) any {
			p := reflect.ValueOf(&t.TrunkOptions).Elem().Field(i).Addr().Interface()
			if s, ok := p.(*string); ok && pem {
				return (*pemFile)(s)
			}
			return p
		})
	}
	return of
}

func (of fields) add(f *pflag.FlagSet, t *store.Trunk, name, doc string, field func(*store.Trunk) any) {
	of[name] = field
	switch p := field(t).(type) {
	case *string:
		f.StringVar(p, name, *p, doc)
	case *int:
		f.IntVar(p, name, *p, doc)
	case *bool:
		f.BoolVar(p, name, *p, doc)
	case *[]string:
		f.StringSliceVar(p, name, *p, doc)
	case *map[string]string:
		f.StringToStringVar(p, name, *p, doc)
	case *map[string]float64:
		f.Var((*rates)(p), name, doc)
	case *pemFile:
		f.Var(p, name, doc+" (a file)")
	}
}

// copy takes over what was given on the command line.
func (of fields) copy(f *pflag.FlagSet, from, to *store.Trunk) {
	f.Visit(func(x *pflag.Flag) {
		if field := of[x.Name]; field != nil {
			reflect.ValueOf(field(to)).Elem().Set(reflect.ValueOf(field(from)).Elem())
		}
	})
}

// pemFile is a setting whose text is read from a file.
type pemFile string

// Set implements [pflag.Value].
func (p *pemFile) Set(file string) error {
	if file == "" {
		*p = ""
		return nil
	}
	text, err := os.ReadFile(file)
	*p = pemFile(text)
	return err
}

// String implements [pflag.Value]. It may be a private key.
func (p *pemFile) String() string { return "" }

// Type implements [pflag.Value].
func (p *pemFile) Type() string { return "file" }

// rates are prices by prefix: +49=0.02,+1=0.01.
type rates map[string]float64

// Set implements [pflag.Value].
func (r *rates) Set(text string) error {
	if *r == nil {
		*r = rates{}
	}
	for _, part := range strings.Split(text, ",") {
		prefix, price, _ := strings.Cut(part, "=")
		n, err := strconv.ParseFloat(price, 64)
		if err != nil {
			return fmt.Errorf("%q: write a prefix and a price, such as +49=0.02", part)
		}
		(*r)[prefix] = n
	}
	return nil
}

// String implements [pflag.Value].
func (r *rates) String() string { return "" }

// Type implements [pflag.Value].
func (r *rates) Type() string { return "prefix=price" }
