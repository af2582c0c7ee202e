package sdp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// offered are the formats of H.264 (RFC 6184) that this side offers.
func (a *Agent) offered() []core.Codec {
	profile := fmt.Sprintf("profile-level-id=42e0%02x;", h264.LevelOf(a.Lines))
	return []core.Codec{
		{Name: "H264", ClockRate: 90000, PayloadType: 97, Fmtp: profile + "packetization-mode=1;level-asymmetry-allowed=1"},
		{Name: "H264", ClockRate: 90000, PayloadType: 98, Fmtp: profile + "level-asymmetry-allowed=1"},
	}
}

// Feedback that this side understands, as attributes.
const (
	fbPLI = "nack pli"
	fbFIR = "ccm fir"
)

// HasVideo reports whether a description has pictures that this bridge can
// agree to.
func (s *Session) HasVideo() bool {
	return slices.ContainsFunc(s.Media, func(m Media) bool { return m.isVideo() && m.bestH264() >= 0 })
}

// isVideo tells the main picture from content beside it.
func (m *Media) isVideo() bool { return m.isPicture() && !m.isContent() }

func (m *Media) isPicture() bool {
	return m.Kind == "video" && m.Port != 0 && m.rtp() && strings.HasPrefix(m.Proto, "RTP/")
}

// isContent: the stream is content (RFC 4796).
func (m *Media) isContent() bool { return slices.Contains(m.Attributes, contentSlides) }

const contentSlides = "content:slides"

// bestH264 is the index of the format to agree on: constrained baseline before
// others, which fewer can watch, then with fragments before without; -1: none.
func (m *Media) bestH264() int {
	best, found := 0, -1
	for i, c := range m.Codecs {
		if !strings.EqualFold(c.Name, "H264") || c.ClockRate != 90000 {
			continue
		}
		p := h264.Fmtp(c.Fmtp)
		if p.Mode > 1 {
			continue // interleaved
		}
		worth := 1 + p.Mode
		if p.Baseline() {
			worth += 2
		}
		if worth > best {
			best, found = worth, i
		}
	}
	return found
}

// offerVideo adds or renews the line of pictures.
func (a *Agent) offerVideo(media []Media, proto string) []Media {
	if a.VideoPort == 0 {
		return media
	}
	return put(media, &a.video, a.offerPicture(a.VideoPort, proto))
}

// put adds a line, or renews the one at place, counted from 1.
func put(media []Media, place *int, m Media) []Media {
	if *place > 0 && *place <= len(media) {
		m.Proto = media[*place-1].Proto
		media[*place-1] = m
		return media
	}
	*place = len(media) + 1
	return append(media, m)
}

// offerPicture describes pictures that arrive at a port.
func (a *Agent) offerPicture(port int, proto string, attributes ...string) Media {
	m := Media{Kind: "video", Port: port, Proto: proto, Addr: a.Addr, Direction: a.Hold}
	for _, c := range a.offered() {
		m.add(c)
	}
	m.Attributes = append([]string{"rtcp-fb:* " + fbPLI, "rtcp-fb:* " + fbFIR}, attributes...)
	if a.Policy != Never {
		for i, s := range a.Suites {
			m.Crypto = append(m.Crypto, Crypto{Tag: i + 1, Suite: s.Name, Key: a.key(m.keys(), s)})
		}
	}
	return m
}

// answerVideo agrees to the first line of pictures that can be agreed to. It is
// never less protected than the sound.
func (a *Agent) answerVideo(offer *Session, answer []Media, agreed *Agreed) {
	for i := range offer.Media {
		o := &offer.Media[i]
		if a.VideoPort == 0 || !o.isVideo() {
			continue
		}
		if m, g := a.answerPicture(o, a.VideoPort, agreed.Suite != ""); g != nil {
			a.video, answer[i], agreed.Video = i+1, *m, g
			return
		}
	}
}

// answerPicture agrees to pictures that arrive at a port; nil where it cannot.
func (a *Agent) answerPicture(o *Media, port int, secure bool, attributes ...string) (*Media, *Agreed) {
	best := o.bestH264()
	if best < 0 {
		return nil, nil
	}
	g := &Agreed{Mux: o.Mux}
	m := &Media{Kind: o.Kind, Port: port, Proto: o.Proto, Addr: a.Addr, Mux: o.Mux, Attributes: attributes}
	if a.answerKeys(o, m, g) != nil || g.Suite == "" && secure {
		return nil, nil
	}
	theirs := o.Codecs[best]
	mine := theirs
	mine.Fmtp = a.taken(theirs.Fmtp)
	m.add(mine)
	g.Receive = []core.Codec{mine}
	if g.picture(o, theirs) != nil {
		return nil, nil
	}
	g.turn(a.Hold, o)
	m.Direction = g.Direction
	for _, fb := range []string{fbPLI, fbFIR} {
		if o.feedback(theirs, fb) {
			m.Attributes = append(m.Attributes, fmt.Sprintf("rtcp-fb:%d %s", theirs.PayloadType, fb))
		}
	}
	return m, g
}

// taken is what this side takes of a format: the same profile and packetization
// (RFC 6184 §8.2.2), the level its own if the two may differ.
func (a *Agent) taken(theirs string) string {
	p := h264.Fmtp(theirs)
	f := fmt.Sprintf("profile-level-id=%02x%02x", p.Profile, p.Constraints)
	if strings.Contains(theirs, "level-asymmetry-allowed=1") {
		f += fmt.Sprintf("%02x;level-asymmetry-allowed=1", h264.LevelOf(a.Lines))
	} else {
		f += fmt.Sprintf("%02x", p.Level)
	}
	if p.Mode > 0 {
		f += ";packetization-mode=" + strconv.Itoa(p.Mode)
	}
	return f
}

// acceptVideo takes what the answer says of pictures. One that cannot be used
// leaves the call without.
func (a *Agent) acceptVideo(answer *Session, agreed *Agreed) {
	if a.video == 0 || a.video > len(answer.Media) || a.VideoPort == 0 {
		return
	}
	agreed.Video = a.acceptPicture(&a.local.Media[a.video-1], &answer.Media[a.video-1], agreed.Suite != "")
}

// acceptPicture takes the answer m to o; nil where it cannot be used.
func (a *Agent) acceptPicture(o, m *Media, secure bool) *Agreed {
	best := m.bestH264()
	if !m.isPicture() || best < 0 {
		return nil
	}
	g := &Agreed{Mux: m.Mux && o.Mux}
	if a.acceptKeys(o, m, g) != nil || g.Suite == "" && secure {
		return nil
	}
	theirs := m.Codecs[best]
	for _, c := range o.Codecs {
		if strings.EqualFold(c.Name, theirs.Name) && h264.Fmtp(c.Fmtp).Mode == h264.Fmtp(theirs.Fmtp).Mode {
			g.Receive = append(g.Receive, c)
		}
	}
	if len(g.Receive) == 0 || g.picture(m, theirs) != nil {
		return nil
	}
	g.turn(o.Direction, m)
	return g
}

// picture fills in where the other side watches and what it takes.
func (g *Agreed) picture(m *Media, c core.Codec) error {
	if err := g.remote(m, c, 20); err != nil {
		return err
	}
	g.Codec.Ptime = 0
	g.MaxRate = m.rate()
	g.PLI, g.FIR = m.feedback(c, fbPLI), m.feedback(c, fbFIR)
	return nil
}

// rate is the most that the describing side takes, in bit/s (b= of RFC 8866 and
// RFC 3890); 0: not said.
func (m *Media) rate() (bps int) {
	for _, b := range m.Bandwidth {
		kind, value, _ := strings.Cut(b, ":")
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 || n > 1<<30 {
			continue
		}
		if kind == "AS" {
			n = min(n, 1<<30/1000) * 1000
		} else if kind != "TIAS" {
			continue
		}
		if bps == 0 || n < bps {
			bps = n
		}
	}
	return bps
}

// feedback tells whether a format's feedback is described (RFC 4585 §4.2).
func (m *Media) feedback(c core.Codec, what string) bool {
	own := strconv.Itoa(int(c.PayloadType))
	return slices.ContainsFunc(m.Attributes, func(a string) bool {
		v, ok := strings.CutPrefix(a, "rtcp-fb:")
		of, fb, _ := strings.Cut(v, " ")
		return ok && (of == "*" || of == own) && strings.TrimSpace(fb) == what
	})
}
