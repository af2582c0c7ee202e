package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// FloorControl is this side's end of BFCP (RFC 8856).
type FloorControl struct {
	Port int
	// Fingerprint of its certificate (RFC 8122).
	Fingerprint string
	// Conference and User are what the other side is to name where this side is
	// the server.
	Conference uint32
	User       uint16
	// Client: this side offers to take part, as room systems do, not to decide.
	Client bool
}

// Floor is what was agreed on about who may present.
type Floor struct {
	Transport string // as in the m= line
	Remote    netip.AddrPort
	Server    bool // this side decides
	Active    bool // this side connects
	// Conference, User and ID are those of the messages.
	Conference   uint32
	User, ID     uint16
	Fingerprints []string // of the other side's certificate
}

// The roles of a=floorctrl.
const (
	onlyServer = "s-only"
	onlyClient = "c-only"
)

const (
	floorID = 1
	// contentLabel joins the floor to its stream (RFC 4574).
	contentLabel = "11"
)

// secureFloor: the transport is encrypted. In an encrypted call it must be, as
// all else.
func secureFloor(proto string) bool { return strings.Contains(proto, "/TLS/") }

func isFloor(m *Media) bool {
	return m.Kind == "application" && m.Port != 0 && slices.Contains([]string{"TCP/BFCP", "TCP/TLS/BFCP", "UDP/BFCP", "UDP/TLS/BFCP"}, m.Proto)
}

// HasContent reports whether a description has content and its floor.
func (s *Session) HasContent() bool {
	pictures := 0
	for i := range s.Media {
		if s.Media[i].isPicture() {
			pictures++
		}
	}
	return pictures > 1 && slices.ContainsFunc(s.Media, func(m Media) bool { return isFloor(&m) })
}

// value of an attribute; empty if it is not there.
func (m *Media) value(name string) string {
	for _, a := range m.Attributes {
		if n, v, _ := strings.Cut(a, ":"); n == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (m *Media) number(name string, bits int) uint64 {
	n, err := strconv.ParseUint(m.value(name), 10, bits)
	if err != nil {
		return 0
	}
	return n
}

// floor reads a=floorid: the floor, and the label of its stream. Some write
// mstrm, some m-stream.
func (m *Media) floor() (id uint16, label string) {
	f := strings.Fields(m.value("floorid"))
	if len(f) == 0 {
		return 0, ""
	}
	n, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return 0, ""
	}
	if len(f) > 1 {
		_, label, _ = strings.Cut(f[1], ":")
	}
	return uint16(n), label
}

// offerContent adds or renews the lines of content and its floor.
func (a *Agent) offerContent(media []Media, proto string) []Media {
	if a.ContentPort == 0 || a.Floor == nil {
		return media
	}
	m := Media{Kind: "application", Port: a.Floor.Port, Proto: "UDP/BFCP", Formats: []string{"*"}, Addr: a.Addr}
	if a.Policy != Never {
		m.Proto = "TCP/TLS/BFCP"
	}
	role, setup := onlyServer, "passive"
	if a.Floor.Client {
		role, setup = onlyClient, "actpass"
	}
	m.Attributes = append(a.floorLines(role, floorID), a.floorTransport(m.Proto, setup)...)
	if a.floor > 0 { // agreed on already: the connection stays
		m.Attributes = media[a.floor-1].Attributes
	}
	media = put(media, &a.floor, m)
	return put(media, &a.content, a.offerPicture(a.ContentPort, proto, contentSlides, "label:"+contentLabel))
}

func (a *Agent) floorLines(role string, id uint16) []string {
	lines := []string{"floorctrl:" + role}
	if role == onlyServer {
		lines = append(lines, fmt.Sprintf("confid:%d", a.Floor.Conference), fmt.Sprintf("userid:%d", a.Floor.User), fmt.Sprintf("floorid:%d mstrm:%s", id, contentLabel))
	}
	return lines
}

func (a *Agent) floorTransport(proto, setup string) (lines []string) {
	if strings.HasPrefix(proto, "TCP/") {
		lines = []string{"setup:" + setup, "connection:new"}
	} else if secureFloor(proto) {
		lines = []string{"setup:" + setup}
	}
	if secureFloor(proto) {
		lines = append(lines, "fingerprint:"+a.Floor.Fingerprint)
	}
	return append(lines, "bfcpver:"+versionOf(proto))
}

func versionOf(proto string) string {
	if strings.HasPrefix(proto, "UDP/") {
		return "2"
	}
	return "1"
}

// answerContent agrees to content, where the picture is agreed on and the floor
// can be.
func (a *Agent) answerContent(offer *Session, answer []Media, agreed *Agreed) {
	if a.ContentPort == 0 || a.Floor == nil || agreed.Video == nil {
		return
	}
	at := slices.IndexFunc(offer.Media, func(m Media) bool {
		return isFloor(&m) && m.Addr.IsValid() && (secureFloor(m.Proto) || agreed.Suite == "")
	})
	if at < 0 {
		return
	}
	o := &offer.Media[at]
	id, label := o.floor()
	g := &Floor{Transport: o.Proto, Remote: netip.AddrPortFrom(o.Addr, uint16(o.Port)), ID: max(id, floorID), Fingerprints: fingerprints(offer, o)}
	role := onlyServer
	if o.value("floorctrl") == onlyServer {
		role = onlyClient
	}
	g.Server = role == onlyServer
	g.Conference, g.User = a.Floor.Conference, a.Floor.User
	if !g.Server {
		g.Conference, g.User = uint32(o.number("confid", 32)), uint16(o.number("userid", 16))
	}
	setup := "passive"
	if s := o.value("setup"); s == "passive" || s == "" && !g.Server {
		setup, g.Active = "active", true
	}
	lines := a.floorLines(role, g.ID)
	if strings.HasPrefix(o.Proto, "UDP/") && !secureFloor(o.Proto) {
		g.Active = !g.Server // the client speaks first
	}
	for i := range offer.Media {
		c := &offer.Media[i]
		if !c.isPicture() || i+1 == a.video || !c.isContent() && (label == "" || c.value("label") != label) {
			continue
		}
		m, content := a.answerPicture(c, a.ContentPort, agreed.Suite != "", contentSlides, "label:"+contentLabel)
		if content == nil {
			continue
		}
		answer[i] = *m
		answer[at] = Media{Kind: o.Kind, Port: a.Floor.Port, Proto: o.Proto, Formats: []string{"*"}, Addr: a.Addr, Attributes: append(lines, a.floorTransport(o.Proto, setup)...)}
		a.content, a.floor = i+1, at+1
		agreed.Content, agreed.Floor = content, g
		return
	}
}

// fingerprints of the other side's certificate, for a line or for all.
func fingerprints(s *Session, m *Media) (list []string) {
	for _, from := range [][]string{m.Attributes, s.Attributes} {
		for _, a := range from {
			if v, ok := strings.CutPrefix(a, "fingerprint:"); ok {
				list = append(list, strings.TrimSpace(v))
			}
		}
		if len(list) > 0 {
			break
		}
	}
	return list
}

// acceptContent takes what the answer says of content and its floor.
func (a *Agent) acceptContent(answer *Session, agreed *Agreed) {
	if a.content == 0 || a.floor == 0 || max(a.content, a.floor) > len(answer.Media) || agreed.Video == nil {
		return
	}
	o, m := &a.local.Media[a.floor-1], &answer.Media[a.floor-1]
	if !isFloor(m) || m.Proto != o.Proto || !m.Addr.IsValid() {
		return
	}
	content := a.acceptPicture(&a.local.Media[a.content-1], &answer.Media[a.content-1], agreed.Suite != "")
	if content == nil {
		return
	}
	g := &Floor{Transport: m.Proto, Remote: netip.AddrPortFrom(m.Addr, uint16(m.Port)), Server: !a.Floor.Client, ID: floorID,
		Conference: a.Floor.Conference, User: a.Floor.User, Fingerprints: fingerprints(answer, m)}
	if a.Floor.Client {
		g.Conference, g.User = uint32(m.number("confid", 32)), uint16(m.number("userid", 16))
		if id, _ := m.floor(); id != 0 {
			g.ID = id
		}
	}
	g.Active = !g.Server && strings.HasPrefix(m.Proto, "UDP/") || m.value("setup") == "passive"
	agreed.Content, agreed.Floor = content, g
}
