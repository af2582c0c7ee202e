package rtpio

import "bridgehead/core/srtp"

// Suite is a crypto-suite of SRTP.
type Suite = srtp.Suite

// Suites lists what is supported, best first.
func Suites() []Suite { return srtp.Suites() }

// SuiteNamed finds a suite by its registered name, without regard to case.
func SuiteNamed(name string) (Suite, bool) { return srtp.SuiteNamed(name) }

// Keys are the SRTP master keys (key, then salt) of one session.
type Keys struct {
	Suite         Suite
	Local, Remote []byte
}
