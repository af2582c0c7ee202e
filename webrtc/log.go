package webrtc

import (
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// logFactory passes the library's lines to slog. What the library calls an
// error or a warning is mostly a peer's doing and concerns one call, so it is
// logged as debug; what concerns the operator the edge logs itself.
type logFactory struct{ log *slog.Logger }

func (f logFactory) NewLogger(scope string) logging.LeveledLogger {
	return logLines{f.log, scope} // a connection asks for a dozen, which hardly ever log
}

type logLines struct {
	log   *slog.Logger
	scope string
}

func (logLines) Trace(string)               {}
func (logLines) Tracef(string, ...any)      {}
func (logLines) Debug(string)               {}
func (logLines) Debugf(string, ...any)      {}
func (logLines) Info(string)                {}
func (logLines) Infof(string, ...any)       {}
func (l logLines) Warn(s string)            { l.log.Debug(s, "scope", l.scope) }
func (l logLines) Warnf(s string, a ...any) { l.Warn(fmt.Sprintf(s, a...)) }
func (l logLines) Error(s string)           { l.Warn(s) }
func (l logLines) Errorf(s string, a ...any) {
	l.Warn(fmt.Sprintf(s, a...))
}
