// Command bridgehead is the gateway: one binary that brings browsers, SIP
// endpoints and telephone callers into the same meetings, and administers
// itself.
package main

import (
	_ "time/tzdata" // schedules, on machines without it

	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bridgehead/config"
)

// version is set by the build.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		slacken() // before anything is open
		tune()
		go mapProgram() // else the first who call wait for the disk
	}
	root := &cobra.Command{
		Use: "bridgehead", Version: version, SilenceUsage: true, SilenceErrors: true,
		Short: "Bring every kind of caller into the same meeting",
	}
	root.AddCommand(serveCommand(), checkCommand(), callCommand(), loadCommand(), decodeCommand(), backupCommand(), restoreCommand())
	root.AddCommand(adminCommands()...)
	if err := root.Execute(); err != nil {
		printError(err)
		os.Exit(1)
	}
}

// printError prints joined errors a line each.
func printError(err error) {
	var silent exitCode
	if errors.As(err, &silent) {
		os.Exit(int(silent))
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(os.Stderr, "bridgehead:", strings.TrimRight(line, "\n"))
	}
}

// exitCode ends the process with a status after all was said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// configured adds --config and a flag for each key, and gives the loader.
func configured(cmd *cobra.Command) func() (*config.Config, string, error) {
	file := cmd.Flags().String("config", os.Getenv("BRIDGEHEAD_CONFIG"), "configuration file")
	config.Flags(cmd.Flags())
	return func() (*config.Config, string, error) {
		c, err := config.Load(*file, cmd.Flags())
		return c, *file, err
	}
}

// logger writes to standard error as configured; its level can be changed.
func logger(c *config.Config, level *slog.LevelVar) *slog.Logger {
	setLevel(c, level)
	opt := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opt))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opt))
}

func setLevel(c *config.Config, level *slog.LevelVar) {
	var l slog.Level
	if l.UnmarshalText([]byte(c.Log.Level)) == nil {
		level.Set(l)
	}
}
