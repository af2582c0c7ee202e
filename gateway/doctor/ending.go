package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// ending judges how an answered call ended; false: in order.
func (f *facts) ending() (store.Finding, bool) {
	switch {
	case f.code == core.MediaTimeout && f.Protocol == string(core.WebRTC):
		return f.browserLost(), true
	case f.code == core.MediaTimeout && f.mentions("session timer"):
		return failed("session-timer", f.peer()+" did not refresh the call in time, so it was ended (RFC 4028).", "Turn session timers off at the peer, or have it refresh them."), true
	case f.code == core.MediaTimeout:
		return failed("media-timeout", "no sound came from "+f.peer()+" any more, so the call was ended.", "Look at the peer's network."), true
	case f.mentions("no ACK"):
		return failed("no-ack", "the answer was sent, and "+f.peer()+" never confirmed it (ACK).",
			"The peer cannot reach the address in Contact: check rtp.advertise, and that no firewall drops SIP from the peer."), true
	case f.mentions("does not know the call any more", "session refresh"):
		return failed("peer-forgot", f.peer()+" has lost the call: it was restarted, or the way to it changed.", "Look at the peer's log at that time."), true
	case f.code == core.Incompatible:
		return failed("renegotiation", "the call was answered, and then no codec could be agreed on ("+f.why+").", codecRemedy), true
	case f.code == core.WrongPasscode:
		return f.wrongPasscode(), true
	case f.code == core.Failure:
		return failed("fault", "the bridge made a mistake ("+f.why+").", "The service's log tells more; please report it."), true
	case f.code == core.Normal || f.code == core.NoAnswer || endings[f.code] != "" || f.code == "":
		return store.Finding{}, false
	}
	return f.unanswered(), true
}

const codecRemedy = "Allow PCMA or PCMU on both sides; every bridge and carrier has them."

func (f *facts) browserLost() store.Finding {
	switch l := f.ladder; {
	case l.has("media", "DTLS failed"):
		return failed("dtls-failed", "the browser's packets arrive, but the encryption of its sound could not be agreed on (DTLS).",
			"Something on the way changes the packets, or the browser is very old: try without VPN or security software.")
	case !l.has("media", "ICE connected"):
		return failed("ice-failed", "the browser reached the bridge's web page, but no way was found for its sound (ICE).",
			"Open UDP and TCP of listen.webrtc to the browsers, check rtp.advertise, and offer TURN over TLS to networks that let only HTTPS out.")
	}
	return failed("browser-lost", "the browser's connection was lost, and it did not come back.", "Its network went away, or the page was closed without leaving.")
}

func (f *facts) wrongPasscode() store.Finding {
	times := ""
	if f.mentions("third") {
		times = " three times"
	}
	return failed("wrong-passcode", "the passcode was wrong"+times+".", "Send the caller the invitation again; passcodes are shown in the meeting's settings.")
}

// unanswered judges an attempt that did not become a call.
func (f *facts) unanswered() store.Finding {
	if why, ok := f.shut(); ok {
		return why
	}
	if !f.in {
		return f.out()
	}
	switch f.code {
	case core.NotFound:
		if f.Trunk != "" {
			return failed("no-route", fmt.Sprintf("the number %s is not configured for trunk %s, so the call was refused.", f.To, f.Trunk),
				"Add it under Numbers with this trunk, in the form that the carrier sends it.")
		}
		return failed("unknown-number", "there is no meeting or number like the one called, "+f.To+".", "Check the number in the invitation; a one-time meeting is gone once it is over.")
	case core.WrongPasscode:
		return f.wrongPasscode()
	case core.Throttled:
		what := "passcodes or numbers"
		if f.mentions("password") {
			what = "passwords"
		}
		return failed("throttled", fmt.Sprintf("too many wrong %s came from %s, so it is kept out for a while.", what, f.from()), "It may try again later; passcode.window says when.")
	case core.Unauthorized:
		return failed("wrong-password", fmt.Sprintf("the user name or password of %s is wrong.", cmp.Or(f.From, "the caller")), "Set the device's password anew, here and at the device.")
	case core.Forbidden:
		if why, known := unproved[f.Detail.Stir.Result]; known && f.mentions("caller's number") {
			return failed("caller-unproved", fmt.Sprintf("trunk %s takes calls from proved numbers only, and this one is not: %s", f.Trunk, why.text), strings.TrimSpace(why.remedy+" With stir set to show, such calls are taken."))
		}
		if f.mentions("source address") {
			return failed("blocked-source", fmt.Sprintf("the call came from %s, which is no trunk's source, and not over TLS.", f.from()),
				"If that is your carrier, add its network to the trunk's sources; if it is a phone, have it call over TLS.")
		}
		return failed("forbidden", "the caller is not allowed to make this call ("+f.why+").", "")
	case core.Overload:
		return f.noRoom()
	case core.Incompatible, core.NotEncrypted:
		return f.noCodec()
	case core.NoAnswer, core.Declined, core.Busy, core.Unreachable:
		return f.nobody()
	case core.Normal:
		return failed("caller-gave-up", fmt.Sprintf("the caller hung up after %s, before the call was answered.", seconds(f.Ended.Sub(f.Started))), "")
	case core.MediaTimeout:
		if f.Protocol == string(core.WebRTC) {
			return f.browserLost()
		}
	}
	return failed("failed", cmp.Or(endings[f.code], "the call failed: "+string(f.code)+".")+because(f.why), "")
}

// shut are meetings that let nobody in.
func (f *facts) shut() (store.Finding, bool) {
	switch f.code {
	case core.Full:
		return failed("full", "the meeting was full.", "Raise its max_participants, or have somebody leave."), true
	case core.Locked:
		return failed("locked", "the meeting was locked.", "A host unlocks it, in the client or with *97."), true
	case core.Rejected:
		return failed("rejected", "a host did not accept the caller.", ""), true
	case core.NotEncrypted:
		if f.mentions("meeting") {
			return failed("encrypted-only", "the meeting takes encrypted calls only, and this one was not.", "Call over TLS with SRTP, or by a browser; or allow calls in clear in the meeting's settings."), true
		}
	}
	return store.Finding{}, false
}

func (f *facts) noRoom() store.Finding {
	switch {
	case f.mentions("all channels"):
		return failed("no-channel", fmt.Sprintf("all channels of trunk %s were in use.", f.Trunk), "Raise its max_channels if the contract has more.")
	case f.mentions("from this source"):
		return failed("source-limit", fmt.Sprintf("%s makes too many calls at a time.", f.from()), "Raise limits.calls_per_source if it is one of yours.")
	case f.mentions("too many calls per second"):
		return failed("call-rate", fmt.Sprintf("more calls a second came than trunk %s may have.", f.Trunk), "Raise its calls_per_second.")
	}
	return failed("no-room", "the bridge had no room for another call"+because(f.why)+".", "Raise limits.calls or limits.cpu, or give the bridge more processors.")
}

// noCodec are offers that cannot be answered.
func (f *facts) noCodec() store.Finding {
	names, _ := codecs(f.ladder.sdp(true))
	offered := "nothing that the bridge takes"
	if len(names) > 0 {
		offered = "only " + strings.Join(names, ", ")
	}
	switch {
	case f.code == core.NotEncrypted && f.Protocol == string(core.H323):
		return failed("not-encrypted", "the caller offers no encryption (H.235), and calls in clear are not taken"+because(f.why)+".", "Turn encryption on at the endpoint; or, for old ones in a network of yours, h323.legacy.")
	case f.code == core.NotEncrypted:
		return failed("not-encrypted", "the caller offers its sound in clear, where encryption is required"+because(f.why)+".", "Turn SRTP (SDES) on at the phone; calls over TLS are never in clear.")
	case f.mentions("not configured for this trunk"):
		return failed("encryption-unwanted", fmt.Sprintf("the carrier offers encrypted sound only, and trunk %s is set to none.", f.Trunk), "Set its media_encryption to optional.")
	case f.mentions("alformed", "SDP", "sdp"):
		return failed("malformed", "the caller's offer could not be understood"+because(f.why)+".", "The ladder has the offer as it came: the peer's maker can tell what is wrong with it.")
	}
	return failed("no-codec", f.peer()+" offered "+offered+because(f.why)+".", codecRemedy)
}

// nobody: the party that was called through us.
func (f *facts) nobody() store.Finding {
	switch f.code {
	case core.Busy:
		return failed("busy", "the called party was busy.", "")
	case core.Declined:
		return failed("declined", "the called party declined.", "")
	case core.NoAnswer:
		return failed("no-answer", "nobody answered.", "")
	}
	return failed("unreachable", "the called party could not be reached"+because(f.why)+".", "Is its device switched on and registered?")
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}
