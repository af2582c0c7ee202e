// Package edge has what the edges share that speak a signalling protocol of
// their own, SIP and H.323: a call's mailbox, limits per source, what is told
// to ladders and call records, and peers' words made fit for them.
package edge
