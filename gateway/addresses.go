package main

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
)

// addresses are the real addresses of the listeners, by the names of
// DIR/addresses.json.
type addresses map[string]string

func (a addresses) write(dir string) error {
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "addresses.json")
	if err := os.WriteFile(file+".new", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// reachable puts this machine's own address in the place of "all addresses".
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "localhost"
		if own := outward(); own.IsValid() {
			host = own.String()
		}
	}
	return net.JoinHostPort(host, port)
}

func (a addresses) web() string { return "https://" + reachable(a["https"]) }

// join is the link into a meeting.
func (a addresses) join(number string) string { return a.web() + "/join/" + number }

// dial is the SIP address of a meeting.
func (a addresses) dial(number, passcode string) string {
	if a["sips"] == "" {
		return "(SIP is turned off)"
	}
	if passcode != "" {
		number += "**" + passcode
	}
	return "sips:" + number + "@" + reachable(a["sips"])
}
