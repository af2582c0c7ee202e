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
	load := configured(cmd)
	passphrase := passphraseFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := load()
		if err != nil {
			return err
		}
		secret, err := passphrase()
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(cfg.Data, "bridgehead.db")); err != nil {
			return fmt.Errorf("there is nothing to back up in %s: %w", cfg.Data, err)
		}
		s, err := store.Open(cmd.Context(), cfg.Data)
		if err != nil {
			return err
		}
		defer s.Close()
		write := func(w io.Writer) error {
			m, err := backup.Write(cmd.Context(), w, s, cfg.Data, version, secret)
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d files, %d bytes\n", len(m.Files), m.Files["bridgehead.db"].Size)
			}
			return err
		}
		if args[0] == "-" {
			return write(cmd.OutOrStdout())
		}
		return writeWhole(args[0], write)
	}
	return cmd
}

// writeWhole makes a file that nobody else can read, or none.
func writeWhole(name string, write func(io.Writer) error) error {
	tmp := name + ".part"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if shut := f.Close(); err == nil {
		err = shut
	}
	if err == nil {
		return os.Rename(tmp, name)
	}
	os.Remove(tmp)
	return err
}

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "restore FILE", Short: "Make a data directory of a backup", Args: cobra.ExactArgs(1),
		Long: "Makes the data directory, which must not have a database yet, of the backup in FILE, - for standard input.\nAll of it is checked first; if anything is wrong, nothing is changed."}
	load := configured(cmd)
	passphrase := passphraseFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := load()
		if err != nil {
			return err
		}
		secret, err := passphrase()
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
		return restore(cmd.Context(), cmd.OutOrStdout(), in, cfg.Data, secret)
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

// passphraseFlag reads a passphrase from the first line of a file, so that it is
// in no list of processes.
func passphraseFlag(cmd *cobra.Command) func() (string, error) {
	file := cmd.Flags().String("passphrase-file", "", "file whose first line is the passphrase that encrypts the backup")
	return func() (string, error) {
		if *file == "" {
			return "", nil
		}
		data, err := os.ReadFile(*file)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(data), "\n")
		if line = strings.TrimSpace(line); line == "" {
			return "", fmt.Errorf("%s: its first line is empty", *file)
		}
		return line, nil
	}
}
