package core

import (
	"runtime"
	"time"
)

// Yielder is for work on a thousand of something, which must not keep the media clock
// waiting to its end. The zero value is ready to use.
type Yielder struct{ since time.Duration }

// Yield lets others run, the media clock first, if this goroutine has for a
// millisecond.
func (y *Yielder) Yield() {
	switch now := Now(); {
	case y.since == 0:
		y.since = now
	case now-y.since > time.Millisecond:
		runtime.Gosched()
		y.since = Now()
	}
}
