package doctor

// noIdentity is most numbers' result where few are signed: it is worth saying
// of a refused call only.
const noIdentity = "no identity"

// unproved are the results of a verification (STIR, RFC 8224) that say that a
// caller's number may not be its own, and what to do.
var unproved = map[string]struct{ text, remedy string }{
	noIdentity:                {"nobody has signed it.", "Ask the carrier to pass the header Identity on."},
	"malformed":               {"its signature can't be understood.", "The ladder has it as it came (Identity): show it to the carrier."},
	"stale":                   {"it was not signed within the minute.", "Check this machine's clock (NTP). If it is right, the signature was kept and used again, or the call was held up: ask the carrier."},
	"number differs":          {"what was signed is another caller's number, or a call to another.", "If all calls are so, the carrier or the trunk's settings (country, strip_in, prefix_in, caller_id_sources) change the numbers; else it is forged, or the call was forwarded."},
	"certificate not fetched": {"the signer's certificate can't be fetched.", "Let this machine reach public web servers by https, ports 443 and 8443. If it does, the signer's is down."},
	"certificate untrusted":   {"nobody trusted vouches for the signer.", "Bring the file in stir.roots up to date. If it is, ask the carrier who signs its calls."},
	"signature wrong":         {"the signature is not the signer's.", "It is forged or was changed on the way: tell the carrier."},
	"failed":                  {"the carrier says that it has looked and that it is false.", ""},
}
