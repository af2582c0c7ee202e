package directory

import "bridgehead/gateway/contentline"

// VCards writes entries as vCards 4.0 (RFC 6350), one behind the other: name,
// number and addresses. Rooms are of KIND location, meetings x-meeting.
func VCards(list []Entry) []byte {
	var c contentline.Lines
	for _, e := range list {
		c.Add("BEGIN", "VCARD")
		c.Add("VERSION", "4.0")
		c.Add("KIND", map[Kind]string{Person: "individual", Room: "location", Meeting: "x-meeting"}[e.Kind])
		c.Add("UID;VALUE=text", contentline.Text(string(e.Kind)+"-"+e.ID))
		c.Add("FN", contentline.Text(e.Name))
		if e.Number != "" {
			c.Add(`TEL;VALUE=text;TYPE="voice,video"`, contentline.Text(e.Number))
		}
		if e.SIP != "" {
			c.Add("IMPP;PREF=1", e.SIP)
			c.Add("X-SIP", e.SIP)
		}
		if e.H323 != "" {
			c.Add("IMPP;PREF=2", e.H323)
			c.Add("X-H323", e.H323)
		}
		c.Add("END", "VCARD")
	}
	return []byte(c.String())
}
