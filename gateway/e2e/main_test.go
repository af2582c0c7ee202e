//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// limit is twice what all tests take together.
const limit = 38 * time.Minute

// running is the test that has last started a program, and when that was.
var running atomic.Pointer[step]

type step struct {
	test, program string
	at            time.Time
}

// TestMain says what is under way when the time is over; go test's own -timeout
// says it above pages of goroutines.
func TestMain(m *testing.M) {
	begun := time.Now()
	time.AfterFunc(limit, func() {
		if s := running.Load(); s != nil {
			fmt.Printf("%v are over: %s has been running for %v since it started %s, %v after the first test began\n",
				limit, s.test, time.Since(s.at).Round(time.Second), s.program, s.at.Sub(begun).Round(time.Second))
		}
		os.Exit(1)
	})
	os.Exit(m.Run())
}
