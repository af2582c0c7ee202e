package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"bridgehead/config"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "serve", Short: "Run the gateway", Args: cobra.NoArgs}
	load := configured(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := load()
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		level := new(slog.LevelVar)
		log := logger(cfg, level)
		g, err := newGateway(ctx, cfg, log)
		if err != nil {
			return err
		}
		go reloadOnSignal(ctx, g, level, load)
		err = g.run(ctx, cmd.OutOrStdout())
		log.Info("stopped")
		return err
	}
	return cmd
}

// reloadOnSignal reads the configuration anew at SIGHUP. What can change while
// calls go on is changed; a faulty configuration changes nothing.
func reloadOnSignal(ctx context.Context, g *gateway, level *slog.LevelVar, load func() (*config.Config, string, error)) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		cfg, _, err := load()
		if err == nil {
			setLevel(cfg, level)
			err = g.reload(ctx, cfg)
		}
		if err != nil {
			g.log.Error("configuration not reloaded; the one before stays", "error", err)
			continue
		}
		g.log.Info("configuration reloaded")
	}
}

// needRestart names what was changed but takes effect only at a restart.
func needRestart(old, cfg *config.Config) (keys []string) {
	for key, differs := range map[string]bool{
		"listen": old.Listen != cfg.Listen, "rtp": old.RTP != cfg.RTP, "data": old.Data != cfg.Data,
		"sip.legacy": old.SIP.Legacy != cfg.SIP.Legacy, "h323": fmt.Sprint(old.H323) != fmt.Sprint(cfg.H323), "language": old.Language != cfg.Language, "domain": old.Domain != cfg.Domain,
		"stir.allow": fmt.Sprint(old.Stir.Allow) != fmt.Sprint(cfg.Stir.Allow), "homer": old.Homer != cfg.Homer, "telemetry": old.Telemetry != cfg.Telemetry, "limits": old.Limits != cfg.Limits, "log.format": old.Log.Format != cfg.Log.Format,
		"webrtc.origins": fmt.Sprint(old.WebRTC.Origins) != fmt.Sprint(cfg.WebRTC.Origins),
	} {
		if differs {
			keys = append(keys, key)
		}
	}
	return keys
}
