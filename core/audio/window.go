package audio

import "time"

// window measures how long packets take, over the last seconds: the quickest
// way (base) and how far nearly all others lag behind it (spread).
type window struct {
	minNow, minBefore int64 // ns; least transit of this period and the last
	began             int64 // arrival at which this period began
	n                 int   // delays ever added
	edge              int   // bin of the spread
	beyond            int   // delays in bins after it
	recent            [windowSize]uint8
	count             [windowBins]uint16 // histogram of recent
}

const (
	windowSize   = 256 // packets: 5 s of 20 ms
	windowBins   = 128
	windowBin    = int64(2 * time.Millisecond)
	windowPeriod = int64(3 * time.Second)
	// windowBeyond is the share of packets that may come later than the spread.
	windowBeyond = 64 // 1 of 64
)

func (w *window) reset() { *w = window{} }

func (w *window) base() int64 { return min(w.minNow, w.minBefore) }

// add takes a packet's transit (arrival less media time, from any origin) and
// returns its delay over the quickest.
func (w *window) add(transit, arrival int64) int64 {
	switch {
	case w.n == 0:
		w.minNow, w.minBefore, w.began = transit, transit, arrival
	case arrival-w.began > windowPeriod:
		w.minBefore, w.minNow, w.began = w.minNow, transit, arrival
	default:
		w.minNow = min(w.minNow, transit)
	}
	delay := transit - w.base()
	bin := uint8(min(delay/windowBin, windowBins-1))
	at := &w.recent[w.n%windowSize]
	if w.n >= windowSize {
		w.tally(*at, -1)
	}
	*at = bin
	w.tally(bin, 1)
	w.n++
	w.seek()
	return delay
}

func (w *window) tally(bin uint8, by int) {
	w.count[bin] += uint16(by)
	if int(bin) > w.edge {
		w.beyond += by
	}
}

// seek moves the edge to the last bin which, with those after it, holds more
// delays than may come later than the spread.
func (w *window) seek() {
	most := min(w.n, windowSize) / windowBeyond
	for w.beyond > most {
		w.edge++
		w.beyond -= int(w.count[w.edge])
	}
	for w.edge > 0 && w.beyond+int(w.count[w.edge]) <= most {
		w.beyond += int(w.count[w.edge])
		w.edge--
	}
}

// spread is the delay over the base that nearly all packets keep, ns.
func (w *window) spread() int64 {
	if w.edge == 0 {
		return 0
	}
	return int64(w.edge+1) * windowBin
}
