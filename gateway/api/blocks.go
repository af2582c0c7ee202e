package api

import (
	"context"
	"net"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core/edge"
	"bridgehead/gateway/store"
)

// Listener closes connections of blocked sources before anything is read, TLS
// neither. It is for the HTTPS port, by which operators lift blocks: see
// [edge.Blocks.Refuses].
func Listener(l net.Listener, b *edge.Blocks) net.Listener { return listener{l, b} }

type listener struct {
	net.Listener
	blocks *edge.Blocks
}

func (l listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, _ := netip.ParseAddrPort(c.RemoteAddr().String())
		if !l.blocks.Refuses(from.Addr()) {
			return c, nil
		}
		c.Close()
	}
}

// blocks are the sources whose messages are dropped for a time.
func (s *server) blocks(api huma.API) {
	const tag, admin = "Protection", store.RoleAdministrator
	huma.Register(api, operation("GET", "/blocks", "list-blocks", "List the networks that are blocked, and why", admin, tag), func(context.Context, *nothing) (*body[[]edge.Block], error) {
		return answer(s.Blocks.List(), nil)
	})
	huma.Register(api, operation("DELETE", "/blocks/{id}", "lift-block", "End a block before its time", admin, tag), func(_ context.Context, in *ByID) (*nothing, error) {
		if !s.Blocks.Lift(in.ID) {
			return nil, fail(store.ErrNotFound)
		}
		return nil, nil
	})
}
