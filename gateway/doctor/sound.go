package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// From where on something is worth a word.
const (
	firstSound  = 3 * time.Second // in which sound is to come
	someTime    = 5 * time.Second // of silence before the end
	longEnough  = 15 * time.Second
	muchLoss    = 0.03
	highLoss    = 0.10
	muchJitter  = 30 // ms, where most jitter buffers begin to grow
	longWay     = 400
	muchClipped = 0.05
	faint       = -80 // dBov; a quiet room is louder
	spoken      = 100 // frames listened to that tell something
	someEchoes  = 2   // windows of 10 s; one may be chance
	few         = 10  // packets that may be somebody's who had the port before
)

// deaf: nothing came that we could hear.
func deaf(f *facts) (store.Finding, bool) {
	a := f.audio
	if a.PacketsReceived > 0 || f.span() < firstSound || f.Protocol == string(core.WebRTC) {
		return store.Finding{}, false
	}
	if held := f.ladder.has("media", "holds the call"); held {
		return store.Finding{}, false
	}
	at := a.Signalled
	if at == "" {
		at = f.from()
	}
	text := fmt.Sprintf("answered, but no audio came from %s in %s", at, seconds(f.span()))
	ap, _ := netip.ParseAddrPort(a.Signalled)
	switch {
	case a.Forged > 0:
		return failed("wrong-keys", fmt.Sprintf("answered, but of %d packets that came from %s none could be decrypted: its keys are not those that it signalled.", a.Forged, at),
			"Have the peer's maker look at its SRTP (a=crypto); another suite, or the peer's newest software, may help."), true
	case a.Unknown > 0:
		return failed("wrong-payload", fmt.Sprintf("answered, but the audio from %s is of payload type %d, which was not agreed on.", at, a.UnknownType),
			"The peer sends another codec than it answered with: restrict it to one codec that the bridge takes, such as PCMA."), true
	case a.Strange >= few:
		return failed("wrong-address", text+fmt.Sprintf(": it came from %s instead, and is believed only when it comes steadily.", a.Stranger),
			"Have the peer send from where it signals, or turn off what rewrites its addresses (SIP ALG)."), true
	case ap.IsValid() && private(ap.Addr()) && ap.Addr() != f.source:
		return failed("private-address", text+": the peer offered a private address"+f.callsFrom()+".",
			"Set the peer's public address (external IP, STUN) in its own settings, or turn off the SIP ALG of the router before it."), true
	}
	return failed("no-audio-in", text+".", fmt.Sprintf("Open UDP port %d, and the others of rtp.ports, in the firewalls before the bridge, and check that rtp.advertise is an address that the peer can reach.", a.Port)), true
}

func (f *facts) callsFrom() string {
	if f.Source == "" {
		return ""
	}
	return ", while it calls from " + f.Source
}

// stopped: sound came, and then no more.
func stopped(f *facts) (store.Finding, bool) {
	a := f.audio
	if a.PacketsReceived == 0 || a.Last.IsZero() || f.Ended.IsZero() {
		return store.Finding{}, false
	}
	gap := f.Ended.Sub(a.Last)
	switch {
	case f.code != core.MediaTimeout && gap < longEnough, gap < someTime:
		return store.Finding{}, false
	case f.ladder.lastHold():
		if f.code != core.MediaTimeout {
			return store.Finding{}, false
		}
		return failed("held-too-long", fmt.Sprintf("the call was held, and no sound came for %s, so it was ended.", seconds(gap)),
			"Raise limits.hold_timeout if calls are to be held for longer."), true
	case f.code != core.MediaTimeout:
		return poor("audio-stopped", fmt.Sprintf("the sound from %s stopped %s before the call ended.", where(a), seconds(gap)),
			"If nobody was muted on the far side, look for a firewall or router there that forgets the path."), true
	}
	return failed("audio-stopped", fmt.Sprintf("the sound from %s stopped, and after %s the call was ended.", where(a), seconds(gap)),
		"The peer has lost its network or was switched off; if it was only silent, have it send during silence, too, or raise limits.media_timeout."), true
}

// dumb: the far side could not hear us.
func dumb(f *facts) (store.Finding, bool) {
	a := f.audio
	if f.span() < firstSound {
		return store.Finding{}, false
	}
	signalled, _ := netip.ParseAddrPort(a.Signalled)
	found, _ := netip.ParseAddrPort(a.Found)
	encrypted := f.Detail.Security.Media == "sdes-srtp"
	switch {
	case encrypted && found.IsValid() && signalled.IsValid() && found != signalled && private(signalled.Addr()) && signalled.Addr() != f.source:
		return failed("no-audio-out-nat", fmt.Sprintf("the caller could not hear the meeting: it wants its sound at %s, a private address, and sends from %s.", a.Signalled, a.Found),
			"Encrypted calls are sent to the address that is signalled: set the phone's public address (STUN, external IP), or call over a network without NAT."), true
	case a.PacketsSent > 100 && float64(a.RemoteLost) > 0.9*float64(a.PacketsSent):
		return failed("no-audio-out", fmt.Sprintf("%s got nearly none of the sound that was sent to %s, as its own reports say (RTCP).", f.peer(), where(a)),
			"A firewall on the far side, or on the way, keeps the bridge's packets out: have UDP from the bridge's rtp.ports let in there."), true
	case a.PacketsReceived > 150 && a.PacketsSent == 0 && !f.ladder.has("media", "holds the call") && f.Protocol != string(core.WebRTC):
		return failed("nothing-sent", fmt.Sprintf("sound came from %s, but none was sent to it.", where(a)),
			"The peer takes no sound in its session description (a=sendonly or port 0)."), true
	}
	return store.Finding{}, false
}

// keyless: keys were waited for in vain.
func keyless(f *facts) (store.Finding, bool) {
	if f.code != core.NoAnswer || !f.mentions("at the reception") {
		return store.Finding{}, false
	}
	n := 0
	for _, k := range f.Detail.Keys {
		n += k
	}
	if n > 0 {
		return poor("unfinished", fmt.Sprintf("the caller pressed %d keys at the reception, and then no more for too long.", n),
			"Send the caller the invitation; its link or number**passcode asks for nothing."), true
	}
	if sdp := f.ladder.sdp(false); sdp != "" {
		if _, keys := codecs(sdp); !keys {
			return failed("no-keys", "the caller was asked for a number or passcode, and no key arrived: its side offers no telephone-event (RFC 4733), and no tones were in its sound.",
				"Turn on RFC 4733 (RFC 2833) for DTMF at the phone or carrier; SIP INFO and tones in G.711 are understood, too."), true
		}
	}
	return failed("no-keys", "the caller was asked for a number or passcode, and no key arrived.",
		"If keys were pressed, the phone sends them in a way that was not agreed on: set it to RFC 4733 (RFC 2833)."), true
}

// renegotiation: a change was asked for in the middle of the call and refused.
func renegotiation(f *facts) (store.Finding, bool) {
	answered := false
	for i, s := range f.ladder.steps {
		status := finalOf(s)
		switch {
		case status >= 200 && status < 300:
			answered = true
		case answered && (status == 488 || status == 606 || status == 415):
			who, codec := f.peer(), ""
			if ours := s.From != f.ladder.local; ours {
				who = "the bridge"
			}
			for j := i - 1; j >= 0; j-- {
				if prior := f.ladder.steps[j]; strings.HasPrefix(prior.What, "INVITE") {
					_, body, _ := strings.Cut(prior.Text, "\r\n\r\n")
					if names, _ := codecs(body); len(names) > 0 {
						codec = " to " + strings.Join(names, ", ")
					}
					break
				}
			}
			return poor("reinvite-refused", fmt.Sprintf("in the middle of the call %s wanted to change%s, and was refused with %d; the call went on as it was.", who, codec, status),
				"Allow one codec for the whole call on both sides: what is offered in a re-INVITE must have one that was agreed on at first."), true
		}
	}
	return store.Finding{}, false
}

// silent: packets came with nothing in them.
func silent(f *facts) (store.Finding, bool) {
	a := f.audio
	if a.PacketsReceived < 500 || a.Loudest == 0 || a.Loudest > faint || f.span() < longEnough || f.ladder.has("media", "muted") {
		return store.Finding{}, false
	}
	return poor("silent", fmt.Sprintf("packets came from %s, but only silence was in them for all of %s.", where(a), seconds(f.span())),
		"The microphone is muted at the phone, or broken, or another device is chosen there."), true
}

func lossy(f *facts) (store.Finding, bool) {
	return lost(f.audio.PacketsLost, f.audio.PacketsLost+f.audio.PacketsReceived, "loss-in", "of the sound from "+where(f.audio),
		"The way from the peer to the bridge loses packets: look for a full uplink, Wi-Fi, or a rate limit on the peer's side.")
}

func lossyThere(f *facts) (store.Finding, bool) {
	return lost(f.audio.RemoteLost, f.audio.PacketsSent, "loss-out", "of the sound sent to "+where(f.audio)+", as its reports say (RTCP),",
		"The way from the bridge to the peer loses packets: look for a full downlink, Wi-Fi, or a rate limit on the peer's side.")
}

func lost(n, of uint64, code, what, remedy string) (store.Finding, bool) {
	if of < 250 || float64(n) < muchLoss*float64(of) || n > of {
		return store.Finding{}, false
	}
	share := 100 * float64(n) / float64(of)
	if share >= 100*highLoss {
		return failed(code, fmt.Sprintf("%.0f %% of the packets %s were lost: little could be understood.", share, what), remedy), true
	}
	return poor(code, fmt.Sprintf("%.0f %% of the packets %s were lost.", share, what), remedy), true
}

func shaky(f *facts) (store.Finding, bool) {
	worst := f.audio.JitterMS
	for _, s := range f.Media {
		worst = max(worst, s.JitterMS)
	}
	if worst < muchJitter {
		return store.Finding{}, false
	}
	return poor("jitter", fmt.Sprintf("packets from %s came unevenly, by up to %.0f ms: the sound was choppy or late.", where(f.audio), worst),
		"Wi-Fi, a busy uplink or a peer with a bad clock does that: try a cable, or mark voice (DSCP EF) on the peer's network."), true
}

func clipping(f *facts) (store.Finding, bool) {
	a := f.audio
	if a.Listened < spoken || float64(a.Clipped) < muchClipped*float64(a.Listened) {
		return store.Finding{}, false
	}
	return poor("clipping", fmt.Sprintf("the sound from %s is too loud: %d %% of what was listened to reaches full scale and is distorted.", where(a), 100*a.Clipped/a.Listened),
		"Turn the microphone or the line's gain down at the peer."), true
}

// echoing: the others hear themselves.
func echoing(f *facts) (store.Finding, bool) {
	a := f.audio
	if a.Echoes < someEchoes || 2*a.Echoes < a.Compared {
		return store.Finding{}, false
	}
	return poor("echo", fmt.Sprintf("what comes from %s has an echo of the others in it, %d ms after they spoke: they heard themselves.", where(a), a.EchoMS),
		"The telephone's loudspeaker is heard by its microphone: use a handset or headset, turn the loudspeaker down, or turn on the telephone's echo cancellation. Behind an analogue line, that of its gateway."), true
}

func slow(f *facts) (store.Finding, bool) {
	worst := f.audio.RTTMS
	if worst < longWay {
		return store.Finding{}, false
	}
	return poor("delay", fmt.Sprintf("the way to %s and back takes %.0f ms: people talk into each other's words.", where(f.audio), worst),
		"Look for a VPN or a relay far away on the path."), true
}

// where a peer's sound comes from, or was to.
func where(a store.Stats) string {
	switch {
	case a.Found != "":
		return a.Found
	case a.Signalled != "":
		return a.Signalled
	}
	return "the peer"
}
