package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/network"
)

// network tells everybody what clients need: it is no more than a scan finds.
func (s *server) network(api huma.API) {
	huma.Register(api, operation("GET", "/network", "network", "Names, ports and protocols that clients need, and the records of the DNS zone", "", "Network"),
		func(context.Context, *nothing) (*body[network.Plan], error) {
			return answer(s.Network(), nil)
		})
}
