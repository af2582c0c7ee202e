package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"bridgehead/config"
	"bridgehead/core"
	"bridgehead/gateway/store"
	"bridgehead/h323"
	"bridgehead/h323/ras"
)

// openH323 opens the ports of the H.323 edge and of its gatekeeper.
func (g *gateway) openH323(cfg *config.Config) (err error) {
	at := func(peer netip.AddrPort) netip.AddrPort { return g.h323.Signalling(peer) }
	if cfg.Listen.RAS != "" {
		others, err := alternates(cfg.H323.Alternates)
		if err != nil {
			return err
		}
		g.ras, err = ras.New(ras.Options{
			Listen: cfg.Listen.RAS, Signalling: at, Devices: endpoints{g.store}, Open: cfg.H323.Legacy, Reserved: g.reserved,
			Neighbours: prefixes(cfg.H323.Neighbours), Alternates: others, Blocks: g.blocks, Log: g.log,
		})
		if err != nil {
			return err
		}
		if err := g.ras.Listen(); err != nil {
			return err
		}
	}
	g.h323, err = h323.New(h323.Options{
		Listen: cfg.Listen.H323, ListenTLS: cfg.Listen.H323TLS, TLS: func() *tls.Config { return g.cert.config() }, Legacy: cfg.H323.Legacy,
		Advertise: address(cfg.RTP.Advertise), Ports: g.ports, Gatekeeper: g.ras,
		MaxCalls: cfg.Limits.Calls, CallsPerSource: cfg.Limits.CallsPerSrc, SetupsPerSource: cfg.Limits.SetupsPerSrc, Blocks: g.blocks,
		MediaTimeout: time.Duration(cfg.Limits.MediaTimeout) * time.Second, HoldTimeout: time.Duration(cfg.Limits.HoldTimeout) * time.Second,
		Trace: g.trace, Log: g.log,
	})
	if err != nil {
		return err
	}
	g.plan.Registered = g.scheme
	if err := g.h323.Listen(); err != nil || cfg.H323.Gatekeeper == "" {
		return err
	}
	return g.openRegistration(cfg)
}

// openRegistration readies the registration at an outside gatekeeper.
func (g *gateway) openRegistration(cfg *config.Config) (err error) {
	peer, err := gatekeeperAddress(cfg.H323.Gatekeeper)
	if err != nil {
		return fmt.Errorf("h323.gatekeeper: %w", err)
	}
	g.client, err = ras.NewClient(ras.ClientOptions{
		Gatekeeper: cfg.H323.Gatekeeper, Aliases: cfg.H323.Aliases, Prefixes: cfg.H323.Prefixes,
		User: cfg.H323.User, Password: cfg.H323.Password, Signalling: g.h323.Signalling(peer), Log: g.log,
	})
	if err != nil {
		return err
	}
	g.h323.Register(g.client)
	return nil
}

// gatekeeperAddress finds a gatekeeper written as host or host:port.
func gatekeeperAddress(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, strconv.Itoa(ras.Port)
	}
	at, err := net.ResolveUDPAddr("udp", net.JoinHostPort(host, port))
	if err != nil {
		return netip.AddrPort{}, err
	}
	return at.AddrPort(), nil
}

// serveRAS runs the gatekeeper, and the registration at another one.
func (g *gateway) serveRAS(ctx context.Context) error {
	if g.client != nil {
		go func() {
			if err := g.client.Run(ctx); err != nil && ctx.Err() == nil {
				g.log.Error("registration at the outside gatekeeper has ended", "error", err)
			}
		}()
	}
	if g.ras == nil {
		return nil
	}
	return g.ras.Serve(ctx)
}

// scheme of the address by which a device is called: as it is registered.
func (g *gateway) scheme(user string) string {
	if g.ras != nil {
		if _, ok := g.ras.Lookup(user); ok {
			return "h323"
		}
	}
	return "sip"
}

// reserved tells whether a number is a meeting's.
func (g *gateway) reserved(alias string) bool {
	_, err := g.store.Meeting(context.Background(), alias)
	return !errors.Is(err, store.ErrNotFound)
}

func alternates(list []string) (out []ras.Alternate, err error) {
	for i, s := range list {
		at, err := gatekeeperAddress(s)
		if err != nil {
			return nil, fmt.Errorf("h323.alternates: %w", err)
		}
		out = append(out, ras.Alternate{Address: at, Identifier: s, Register: true, Priority: i})
	}
	return out, nil
}

func prefixes(list []string) (out []netip.Prefix) {
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		} else if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// endpoints lets the gatekeeper find devices in the store.
type endpoints struct{ store *store.Store }

// Device implements ras.Devices.
func (d endpoints) Device(user string) (ras.Device, bool) {
	found, err := d.store.Device(context.Background(), user)
	if err != nil || found.User != user {
		return ras.Device{}, false
	}
	return ras.Device{Name: found.Name, Password: found.Password, Extension: found.Extension}, true
}

// Extension implements ras.Devices.
func (d endpoints) Extension(number string) (string, bool) {
	found, err := d.store.Device(context.Background(), number)
	return found.User, err == nil
}

var _ core.Edge = (*h323.Edge)(nil)
