package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"bridgehead/config"
	"bridgehead/core/compose"
)

// workerName is the media worker's program, beside this one.
const workerName = "bridgehead-media"

// newComposer finds the media worker; nil, where there is none or it may take
// nothing: then nothing is composed.
func newComposer(cfg *config.Config, log *slog.Logger) *compose.Composer {
	if cfg.Video.CPU == 0 {
		return nil
	}
	path := cfg.Video.Worker
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return nil
		}
		path = filepath.Join(filepath.Dir(own), workerName)
	}
	if s, err := os.Stat(path); err != nil || s.Mode()&0o111 == 0 {
		log.Warn("there is no media worker: SIP and H.323 systems see who speaks, nothing is composed", "program", path)
		return nil
	}
	return compose.New(compose.Options{Start: compose.Program(path, log), Cores: float64(cfg.Video.CPU*runtime.NumCPU()) / 100, Log: log})
}
