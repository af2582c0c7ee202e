package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// wrong says what is wrong with a value, and what to do; "" if nothing.
func (f field) wrong(value string) (why, remedy string) {
	switch f.kind {
	case reflect.Bool:
		if _, err := strconv.ParseBool(value); err != nil {
			return "neither true nor false", "write true or false"
		}
		return "", ""
	case reflect.Slice:
		for _, v := range list(value) {
			if why, remedy = check(f.check, v); why != "" {
				return why, remedy
			}
		}
		return "", ""
	}
	return check(f.check, value)
}

// check tries a value against a check's name: a known word, a range "a-b", or
// a choice "a|b".
func check(name, value string) (why, remedy string) {
	switch name {
	case "":
		return "", ""
	case "required":
		if value == "" {
			return "empty", "give it a value"
		}
	case "hostport":
		return checkHostPort(value)
	case "server":
		return checkServer(value)
	case "url":
		if u, err := url.Parse(value); value != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
			return "not an http or https address", "write an address such as http://127.0.0.1:4318"
		}
	case "ports":
		if _, _, err := parsePorts(value); err != nil {
			return err.Error(), "write a range such as 20000-29999"
		}
	case "ip":
		if _, err := netip.ParseAddr(value); value != "" && err != nil {
			return "not an IP address", "write an address such as 203.0.113.7, or leave it empty"
		}
	case "prefix":
		if _, err := netip.ParsePrefix(value); err != nil {
			if _, err := netip.ParseAddr(value); err != nil {
				return "not an IP address or network", "write 192.0.2.7 or 192.0.2.0/24"
			}
		}
	case "domain":
		if _, err := domainName(value); err != nil {
			return "not a domain name", "write a name such as example.org, without @ or *"
		}
	case "file":
		if value == "" {
			return "", ""
		}
		f, err := os.Open(value)
		if err != nil {
			return "cannot be read: " + err.Error(), "check the path and its permissions"
		}
		f.Close()
	case "country":
		if value != "" && (len(value) != 2 || strings.ToUpper(value) != value) {
			return "not a country", "write a two-letter ISO code such as DE"
		}
	case "language":
		if len(value) != 2 || strings.ToLower(value) != value {
			return "not a language", "write a two-letter code such as en"
		}
	default:
		return checkChoice(name, value)
	}
	return "", ""
}

func checkChoice(name, value string) (why, remedy string) {
	if words := strings.Split(name, "|"); len(words) > 1 {
		if !slices.Contains(words, value) {
			return "not one of the choices", "write one of " + strings.Join(words, ", ")
		}
		return "", ""
	}
	from, to, _ := strings.Cut(name, "-")
	low, _ := strconv.Atoi(from)
	high, _ := strconv.Atoi(to)
	n, err := strconv.Atoi(value)
	if err != nil {
		return "not a number", fmt.Sprintf("write a number from %d to %d", low, high)
	}
	if n < low || n > high {
		return "out of range", fmt.Sprintf("write a number from %d to %d", low, high)
	}
	return "", ""
}

func checkServer(value string) (why, remedy string) {
	host, port, err := net.SplitHostPort(value)
	n, notNumber := strconv.Atoi(port)
	if value != "" && (err != nil || host == "" || notNumber != nil || n < 1 || n > 65535) {
		return "not host:port", "write host:port such as mail.example.org:587"
	}
	return "", ""
}

func checkHostPort(value string) (why, remedy string) {
	const remedyText = "write host:port such as :8443 or 127.0.0.1:0, or leave it empty to turn the listener off"
	if value == "" {
		return "", ""
	}
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return "not host:port", remedyText
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "the port is not a number from 0 to 65535", remedyText
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return "the host is not an IP address", remedyText
		}
	}
	return "", ""
}

func parsePorts(value string) (first, last int, err error) {
	a, b, ok := strings.Cut(value, "-")
	first, err1 := strconv.Atoi(strings.TrimSpace(a))
	last, err2 := strconv.Atoi(strings.TrimSpace(b))
	switch {
	case !ok || err1 != nil || err2 != nil:
		return 0, 0, fmt.Errorf("not a range of ports")
	case first < 1024 || last > 65535:
		return 0, 0, fmt.Errorf("ports outside 1024-65535")
	case last-first < 3:
		return 0, 0, fmt.Errorf("too few ports for a single call")
	}
	return first, last, nil
}
