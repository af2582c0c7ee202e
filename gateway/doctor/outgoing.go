package doctor

import (
	"fmt"
	"strings"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// out judges a call of ours that was not answered.
func (f *facts) out() store.Finding {
	if why, ok := f.barred(); ok {
		return why
	}
	if why, ok := f.unsent(); ok {
		return why
	}
	status := f.Detail.Status
	if status == 0 {
		status = Status(f.Ladder)
	}
	if why, ok := f.answeredWith(status); ok && f.Protocol != string(core.H323) {
		return why
	}
	return f.byCode()
}

// barred: our own rules did not let it out.
func (f *facts) barred() (store.Finding, bool) {
	switch {
	case f.mentions("country"):
		return failed("country", "calls to this country are not allowed: "+strings.TrimPrefix(f.why, "pstn: ")+".", "Add the country to those allowed (pstn.countries) if it is meant to be called."), true
	case f.mentions("premium-rate"):
		return failed("premium", strings.TrimPrefix(f.why, "pstn: ")+", which is not called.", ""), true
	case f.mentions("no telephone number"):
		return failed("no-number", f.To+" is not a telephone number.", "Write it with + and the country's code."), true
	case f.mentions("no route"):
		return failed("no-line", "there is no trunk for calls to "+f.To+".", "Enable a trunk for calls out, or add a route for this prefix."), true
	case f.mentions("is not enabled"):
		return failed("trunk-disabled", f.why+".", "Enable it once its check is green."), true
	case f.mentions("is down"):
		return failed("trunk-down", f.why+".", "Check the trunk: it tells at which step it fails."), true
	case f.mentions("all channels", "too many calls per second"):
		return f.noRoom(), true
	}
	return store.Finding{}, false
}

// unsent: the call did not get as far as being answered at all.
func (f *facts) unsent() (store.Finding, bool) {
	switch {
	case f.mentions("certificate has expired", "not yet valid"):
		return failed("expired-certificate", f.peer()+"'s certificate is not valid at this time ("+f.why+").", "Have it renewed there; and check this machine's clock."), true
	case f.mentions("certificate is valid for", "doesn't contain any IP SANs", "not valid for any names"):
		return failed("certificate-name", f.peer()+"'s certificate is for another name ("+f.why+").", "Call it by the name that the certificate has."), true
	case f.mentions("unknown authority"):
		return failed("unknown-authority", f.peer()+"'s certificate is signed by nobody whom the bridge knows ("+f.why+").", "Install its authority's certificate, or have it use a public one."), true
	case f.mentions("tls:", "TLS"):
		return failed("tls", f.peer()+" and the bridge could not agree on TLS ("+f.why+").", "Check that the port is one for TLS, and which versions the peer has."), true
	case f.mentions("no such host", "no address", "NXDOMAIN"):
		return failed("unknown-host", "the address could not be found in the DNS ("+f.why+").", "Check the spelling, and this machine's DNS servers."), true
	case f.mentions("connection refused"):
		return failed("connection-refused", "nobody listens at the address that was called ("+f.why+").", "Check port and transport."), true
	case f.mentions("is not registered", "has not connected", "registered as"):
		return failed("not-registered", "the called device is not registered ("+f.why+").", "Is it switched on? Do its password and its server's address hold?"), true
	case f.code == core.Unreachable && !f.ladder.spoke():
		return failed("silence", f.peer()+" gave no answer at all"+because(f.why)+".", "Check host, port and transport, and that firewalls let SIP to it and back."), true
	}
	return store.Finding{}, false
}

// answeredWith is what a SIP status of the peer means.
func (f *facts) answeredWith(status int) (store.Finding, bool) {
	said := fmt.Sprintf(" (%s)", f.why)
	switch status {
	case 401, 407:
		return failed("login-refused", f.peer()+" does not take the user name or password"+said+".", "Check user name, password and realm of the trunk with the carrier."), true
	case 403:
		return failed("peer-forbids", f.peer()+" forbids the call"+said+".", "Ask it whether the number shown is one of yours, whether this destination is open to you, and whether there is credit."), true
	case 404, 410, 484, 604:
		return failed("unknown-there", f.To+" is not known to "+f.peer()+said+".", "Check the number, and the form in which the trunk sends it (strip, prefix)."), true
	case 408, 504:
		return failed("timeout", f.peer()+" got no answer in time"+said+".", "Another trunk is tried where there is one; ask the carrier if it happens often."), true
	case 480:
		return failed("away", "the called party cannot be reached now"+said+".", ""), true
	case 486, 600:
		return failed("busy", "the called party was busy.", ""), true
	case 488, 606, 415, 406:
		return failed("no-codec", f.peer()+" takes nothing of what the bridge offers"+said+".", codecRemedy), true
	case 500, 502, 503:
		return failed("peer-fault", f.peer()+" had a fault or no capacity"+said+".", "Another trunk is tried where there is one; ask the carrier if it happens often."), true
	case 603, 607, 608:
		return failed("declined", "the called party declined"+said+".", ""), true
	}
	return store.Finding{}, false
}

// byCode is the rest, and H.323.
func (f *facts) byCode() store.Finding {
	switch f.code {
	case core.NoAnswer, core.Normal:
		if f.ladder.rang() {
			return failed("no-answer", fmt.Sprintf("it rang for %s, and nobody answered.", seconds(f.Ended.Sub(f.Started))), "")
		}
		return failed("given-up", "the call was given up before it rang"+because(f.why)+".", "")
	case core.Unauthorized:
		return failed("login-refused", f.peer()+" does not take the user name or password"+because(f.why)+".", "Check them with the other side.")
	case core.Incompatible:
		return failed("no-codec", f.peer()+" and the bridge have no codec in common"+because(f.why)+".", codecRemedy)
	case core.NotEncrypted:
		return failed("not-encrypted", f.peer()+" does not encrypt, and the bridge does not call in clear"+because(f.why)+".", "Turn encryption on there.")
	case core.NotFound:
		return failed("unknown-there", f.To+" is nobody's address"+because(f.why)+".", "Check the spelling.")
	case core.Unreachable:
		return failed("timeout", f.peer()+" could not be reached"+because(f.why)+".", "Check its network.")
	case core.Busy, core.Declined:
		return f.nobody()
	case core.Overload:
		return f.noRoom()
	case core.Forbidden:
		return failed("peer-forbids", f.peer()+" forbids the call"+because(f.why)+".", "")
	}
	return failed("failed", "the call failed: "+string(f.code)+because(f.why)+".", "")
}
