package h323

import (
	"bridgehead/h323/h225"
	"bridgehead/h323/ras"
)

// traversal is media through the peer's firewall by H.460.19, whose server
// this end is: the peer keeps the way open, and media goes to where its packets
// come from.
type traversal struct {
	offered   bool // by our SETUP
	agreed    bool
	multiplex bool // the peer can send all media to one port pair
}

// H.460.19 and its parameters.
const (
	featureH46019           = 19
	supportsMultiplexedSend = 1 // supportTransmitMultiplexedMedia
	traversalServer         = 2 // mediaTraversalServer
)

// features are those of H.460 that a message tells of.
func (m *message) features() (list []h225.FeatureDescriptor) {
	var set *h225.FeatureSet
	switch b := m.body(); {
	case b.Setup != nil:
		set = &h225.FeatureSet{NeededFeatures: b.Setup.NeededFeatures, DesiredFeatures: b.Setup.DesiredFeatures, SupportedFeatures: b.Setup.SupportedFeatures}
	case b.CallProceeding != nil:
		set = b.CallProceeding.FeatureSet
	case b.Alerting != nil:
		set = b.Alerting.FeatureSet
	case b.Connect != nil:
		set = b.Connect.FeatureSet
	}
	if set == nil {
		return nil
	}
	for _, l := range [][]h225.FeatureDescriptor{set.NeededFeatures, set.DesiredFeatures, set.SupportedFeatures} {
		list = append(list, l...)
	}
	return list
}

// traverse takes what a message says of H.460.19: SETUP offers it, and what
// comes back before and with CONNECT agrees to it. Of two servers neither is
// behind a firewall of the other's.
func (l *leg) traverse(m *message) {
	if l.traversal.agreed || l.out && !l.traversal.offered {
		return
	}
	for _, f := range m.features() {
		if f.Id.Standard == nil || *f.Id.Standard != featureH46019 {
			continue
		}
		has := map[int64]bool{}
		for _, p := range f.Parameters {
			if p.Id.Standard != nil {
				has[*p.Id.Standard] = true
			}
		}
		if has[traversalServer] {
			return
		}
		l.traversal.agreed, l.traversal.multiplex = true, has[supportsMultiplexedSend]
		l.machine.SetTraversal()
		l.log.Debug("H.460.19 media traversal", "multiplex", l.traversal.multiplex)
		return
	}
}

// serverFeature tells the peer that it may traverse its firewall by us.
func serverFeature() []h225.FeatureDescriptor {
	standard := func(n int64) h225.GenericIdentifier { return h225.GenericIdentifier{Standard: &n} }
	return []h225.FeatureDescriptor{{Id: standard(featureH46019),
		Parameters: []h225.EnumeratedParameter{{Id: standard(supportsMultiplexedSend)}, {Id: standard(traversalServer)}}}}
}

// answeredFeatures go into what answers a SETUP.
func (l *leg) answeredFeatures() *h225.FeatureSet {
	if l.out || !l.traversal.agreed {
		return nil
	}
	return &h225.FeatureSet{SupportedFeatures: serverFeature()}
}

// offeredFeatures go into the SETUP to an endpoint that is registered here
// through a firewall. Where channels are is then settled by H.245 alone.
func (l *leg) offeredFeatures() []h225.FeatureDescriptor {
	o := l.outgoing
	if o.reg == nil || o.reg.Traversal == ras.NoTraversal {
		return nil
	}
	l.traversal.offered = true
	o.opt.Slow = true
	return serverFeature()
}

// walled tells whether the peer can connect to us, but we not to it.
func (l *leg) walled() bool { return l.traversal.agreed || l.traversal.offered }
