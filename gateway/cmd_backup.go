package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bridgehead/gateway/backup"
	"bridgehead/gateway/store"
)

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "backup FILE", Short: "Write accounts, meetings, keys and records to one file; the gateway may run", Args: cobra.ExactArgs(1),
		Long: "Writes the database, the key of its secrets and the certificate to FILE, - for standard output.\nWhoever has the file has all secrets of the gateway: give it a passphrase, or keep it as safe as the gateway."}
	given := backupFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, secret, err := given()
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(data, "bridgehead.db")); err != nil {
			return fmt.Errorf("there is nothing to back up in %s: %w", data, err)
		}
		s, err := store.Open(cmd.Context(), data)
		if err != nil {
			return err
		}
		defer s.Close()
		write := func(w io.Writer) error {
			m, err := backup.Write(cmd.Context(), w, s, data, version, secret)
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d files, %d bytes\n", len(m.Files), m.Files["bridgehead.db"].Size)
			}
			return err
		}
		if args[0] == "-" {
			return write(cmd.OutOrStdout())
		}
		return replaceFile(args[0], 0o600, write)
	}
	return cmd
}

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "restore FILE", Short: "Make a data directory of a backup", Args: cobra.ExactArgs(1),
		Long: "Makes the data directory, which must not have a database yet, of the backup in FILE, - for standard input.\nAll of it is checked first; if anything is wrong, nothing is changed."}
	given := backupFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, secret, err := given()
		if err != nil {
			return err
		}
		in := cmd.InOrStdin()
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		return restore(cmd.Context(), cmd.OutOrStdout(), in, data, secret)
	}
	return cmd
}

func restore(ctx context.Context, out io.Writer, in io.Reader, dir, passphrase string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := lockData(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	m, err := backup.Restore(ctx, in, dir, passphrase)
	if err == nil {
		fmt.Fprintf(out, "%s is as it was on %s (version %s).\n", dir, m.Made.Format("2006-01-02 15:04 MST"), m.Version)
	}
	return err
}

// backupFlags tells the data directory, and the passphrase: from the first line
// of a file, so that it is in no list of processes.
func backupFlags(cmd *cobra.Command) func() (data, passphrase string, err error) {
	load := configured(cmd)
	file := cmd.Flags().String("passphrase-file", "", "file whose first line is the passphrase that encrypts the backup")
	return func() (string, string, error) {
		cfg, _, err := load()
		if err != nil {
			return "", "", err
		}
		if *file == "" {
			return cfg.Data, "", nil
		}
		text, err := os.ReadFile(*file)
		line, _, _ := strings.Cut(string(text), "\n")
		if line = strings.TrimSpace(line); line == "" && err == nil {
			err = fmt.Errorf("%s: its first line is empty", *file)
		}
		return cfg.Data, line, err
	}
}
