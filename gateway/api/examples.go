package api

import (
	"encoding/json"
	"net/netip"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/alerts"
	"bridgehead/gateway/chat"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/directory"
	"bridgehead/gateway/doctor"
	"bridgehead/gateway/invite"
	"bridgehead/gateway/lines"
	"bridgehead/gateway/network"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// example shows an operation in use.
type example struct {
	about   string // what the summary does not say
	in, out any    // bodies, of the operation's own types
	text    map[string]string
	errors  []int // beside those that all such operations have
}

// What the examples are about.
const (
	annID, benID = "id-of-ann", "id-of-ben"
	anID         = "id-of-it"
	aPassword    = "an example of a password"
	aToken       = "the-token-itself"
)

var (
	morning = time.Date(2026, 3, 5, 8, 30, 0, 0, time.UTC)
	started = time.Date(2026, 2, 2, 10, 0, 0, 0, time.UTC)
	house   = brand{Title: "Example & Co", Text: "Enter the number of your meeting.", Image: "/api/v1/brand/image?0123456789abcdef"}
	ann     = store.User{ID: annID, Email: "ann@example.org", DisplayName: "Ann Example", Role: store.RoleUser, Created: started}
)

// examples are those of all operations, by their ids.
var examples = sync.OnceValue(func() map[string]example {
	all := map[string]example{}
	for _, part := range []map[string]example{peopleExamples(), passkeyExamples(), meetingExamples(), moderationExamples(), callExamples(), lineExamples(), directoryExamples(), chatExamples(), besideExamples()} {
		for id, e := range part {
			all[id] = e
		}
	}
	return all
})

func peopleExamples() map[string]example {
	entered := session{Token: aToken, Role: store.RoleUser, Expires: morning.Add(sessionTTL)}
	token := store.Token{ID: anID, User: annID, Name: "report of the week", Created: started, Used: morning.Truncate(24 * time.Hour), Expires: started.AddDate(1, 0, 0)}
	browser := store.Token{ID: anID, User: annID, Session: true, Agent: "Firefox on Linux", Created: started, Expires: started.Add(sessionTTL)}
	kept := store.Export{"account": {{"id": annID, "email": ann.Email, "display_name": ann.DisplayName, "role": "user"}}, "meetings": {{"number": "7001", "name": "Weekly", "kind": "permanent"}}}
	const hook = "https://alerts.example.org/bridgehead"
	renamed := ann
	renamed.DisplayName = "Ann E."
	group := store.Group{ID: anID, Name: "Sales", Users: []string{annID}, Devices: []string{}, Created: started}
	return map[string]example{
		"login": {about: "Sets the cookie of a session, and answers its token. An account that asks for a passkey after the password is answered 401 with the type urn:bridgehead:passkey-needed, a challenge and options, to go on with at /login/passkey/finish.",
			in: loginBody{ann.Email, aPassword}, out: entered, errors: []int{401, 403, 422, 429, 503}},
		"logout": {about: "Nobody who is not signed in is refused.", errors: []int{422}},
		"me":     {out: ann},
		"change-me": {about: "Fields that are missing stay. A new password or second_factor needs old_password.",
			in: mePatch{DisplayName: &renamed.DisplayName}, out: renamed, errors: []int{429, 503}},
		"export-me":   {about: "Every table that refers to the account, with its rows (GDPR, article 15).", out: kept, errors: []int{404}},
		"list-users":  {out: []store.User{ann}},
		"add-user":    {about: "Nobody gives a role above the own one.", in: userBody{ann.Email, ann.DisplayName, aPassword, store.RoleUser}, out: ann, errors: []int{503}},
		"change-user": {about: "Fields that are missing stay. Nobody changes an account above the own role.", in: userPatch{DisplayName: &renamed.DisplayName, Hidden: new(false)}, out: renamed, errors: []int{503}},
		"remove-user": {about: "Its calls end at once, and its meetings belong to nobody."},
		"export-user": {about: "Without what was written to others. The audit log tells of it.", out: kept},
		"get-signup":  {out: signUpState{true}},
		"signup":      {about: "The answer is the same for an address that has an account.", in: signUpBody{ann.Email, ann.DisplayName, aPassword}, out: notice{"Thank you. You can sign in once an administrator has approved your account."}, errors: []int{403, 422, 429, 503}},

		"list-tokens":           {about: "Without those of browsers.", out: []store.Token{token}},
		"add-token":             {about: "The token acts for your account, with its role as it then is.", in: tokenBody{token.Name, 365}, out: tokenView{token, aToken}},
		"remove-token":          {},
		"list-sessions":         {out: []sessionView{{browser, true}}, errors: []int{404}},
		"remove-session":        {},
		"remove-other-sessions": {about: "Tokens stay.", errors: []int{404}},
		"remove-sessions":       {about: "Tokens stay."},

		"list-groups":  {out: []store.Group{group}},
		"add-group":    {in: groupBody{Name: group.Name, Users: group.Users}, out: group},
		"change-group": {about: "Fields that are missing stay; a list is the whole of it from now on.", in: groupPatch{Users: &group.Users}, out: group},
		"remove-group": {},
		"list-audit": {about: "Changes, and who looked into another's data. No values but those that tell what was done, and no secrets.",
			out: []store.Act{{ID: 17, At: morning, Actor: annID, Name: ann.Email, Source: "192.0.2.7", Act: "change-user", Object: "users/" + benID, Detail: "disabled=true"}}},
		"get-settings": {out: settingsView{Chat: chat.Settings{Enabled: true, History: true}, Brand: house}},
		"change-settings": {in: settingsPatch{Chat: &chatPatch{History: new(false)}, Alerts: &alertsPatch{Mail: []string{"ops@example.org"}, Webhook: new(hook)}, Brand: &brandPatch{Title: new(house.Title)}},
			out: settingsView{Chat: chat.Settings{Enabled: true}, Alerts: &alertsView{Mail: []string{"ops@example.org"}, Webhook: hook}, Brand: house}},
		"test-alerts": {about: "Each way is tried once, which takes up to half a minute when one is dead.", out: []alerts.Delivery{{Way: "mail", Sent: true}, {Way: "webhook", Error: "the webhook answers 404 Not Found"}}},
		"brand":       {about: "For everybody: the pages of guests show it.", out: house},
		"brand-image": {about: "For everybody. There is none until a superuser has set one.", text: map[string]string{"image/png": "(the file)", "image/jpeg": "(the file)"}, errors: []int{404}},
	}
}

func passkeyExamples() map[string]example {
	const challenge = "name-of-the-question"
	ask := func(options map[string]any) question { return question{challenge, options} }
	give := func(name, response string) answeredBody {
		return answeredBody{challenge, name, json.RawMessage(`{"id":"AQID","rawId":"AQID","type":"public-key","clientExtensionResults":{},"response":` + response + `}`)}
	}
	key := store.Passkey{ID: anID, Name: "Ann's laptop", Host: "meet.example.org", Created: started}
	return map[string]example{
		"begin-passkey-login": {about: "Pass options to navigator.credentials.get, and its answer to /login/passkey/finish within some minutes.",
			out: ask(map[string]any{"challenge": "AQIDBAUG", "rpId": key.Host, "userVerification": "required"}), errors: []int{422, 429}},
		"finish-passkey-login": {about: "Sets the cookie of a session, and answers its token; after a password that was not enough, too.",
			in: give("", `{"authenticatorData":"AQID","clientDataJSON":"AQID","signature":"AQID","userHandle":"AQID"}`), out: session{Token: aToken, Role: store.RoleUser, Expires: morning.Add(sessionTTL)}, errors: []int{401, 422, 429}},
		"list-passkeys": {out: []store.Passkey{key}},
		"begin-passkey": {about: "Pass options to navigator.credentials.create, and its answer to /me/passkeys/finish within some minutes.", in: passwordBody{aPassword},
			out: ask(map[string]any{"challenge": "AQIDBAUG", "rp": map[string]any{"id": key.Host, "name": "Bridgehead"}, "user": map[string]any{"id": "AQID", "name": ann.Email, "displayName": ann.DisplayName},
				"pubKeyCredParams": []any{map[string]any{"type": "public-key", "alg": -7}}}), errors: []int{404, 429, 503}},
		"finish-passkey": {in: give(key.Name, `{"attestationObject":"AQID","clientDataJSON":"AQID"}`), out: key},
		"rename-passkey": {in: nameBody{key.Name}},
		"remove-passkey": {about: "The last one stays while sign-in asks for one."},
	}
}

func meetingExamples() map[string]example {
	weekly := &ScheduleBody{Start: morning, TimeZone: "Europe/Berlin", Minutes: 60, Repeat: "weekly"}
	view := meetingView{Number: "7001", Name: "Weekly", Kind: "permanent", HasHostPasscode: true, Admission: "accept", Presenting: "take-over", Hosts: []string{benID},
		Schedule: &scheduleView{*weekly, morning}, Mine: true, Host: true, Owner: annID, Created: started, Participants: 2}
	quiet := view
	quiet.Quiet, quiet.MuteOnEntry = true, true
	i := invite.New(store.Meeting{Number: view.Number, Name: view.Name}, invite.Places{Web: "meet.example.org", SIPS: "meet.example.org", H323: "meet.example.org"},
		[]store.Number{{Number: "+493023125000", Country: "DE", Language: "de", Label: "Berlin", InInvites: true}})
	i.Start, i.Duration = morning, time.Hour
	ics := i.ICal(started)
	return map[string]example{
		"list-meetings": {about: "Your own, those that you are host of, and what is not hidden; all of them for superusers.", out: []meetingView{view}},
		"add-meeting": {about: "All fields may be missing. Passcodes go in and never come out.",
			in: meetingBody{Number: view.Number, Name: view.Name, Kind: view.Kind, HostPasscode: "1357", Admission: view.Admission, Schedule: weekly, Hosts: []string{"ben@example.org"}}, out: view},
		"get-meeting":    {out: view},
		"change-meeting": {about: "Fields that are missing stay. A meeting that runs changes at once.", in: meetingPatch{Quiet: new(true), MuteOnEntry: new(true)}, out: quiet},
		"remove-meeting": {},
		"invitation": {about: "The answer holds the passcode of guests, and never that of hosts.",
			out:  invitationView{i.Number, i.Name, i.Passcode, i.Web, i.SIP, i.H323, i.DialIns, i.Text(), i.HTML(), ics},
			text: map[string]string{"text/plain": i.Text(), "text/html": i.HTML(), "text/calendar": ics}},
		"send-invitation": {in: lettersBody{To: []string{ann.Email, "ben@example.org"}, When: When{Start: morning, Minutes: 60}}, errors: []int{429, 502}},
		"add-calendar":    {about: "Whoever knows the address reads the calendar, so it is told only once.", out: calendarView{"https://meet.example.org/api/v1/calendar/secret-of-ann"}},
		"remove-calendar": {},
		"calendar":        {about: "For calendar programs, which cannot sign in: the secret is their right.", text: map[string]string{"text/calendar": invite.Calendar("Meetings of Ann Example", []invite.Invitation{i}, started)}, errors: []int{404}},
	}
}

func moderationExamples() map[string]example {
	party := participantView{ID: anID, Name: "Room 4", Address: "sip:room4@example.org", Protocol: core.SIP, Direction: core.Out, State: core.Waiting, Role: core.Guest,
		Security: core.Security{Signalling: "tls", Media: "sdes-srtp", Suite: "AEAD_AES_256_GCM"}, Sources: []core.Source{core.Microphone, core.Camera}, Joined: morning,
		Audio: audioView{Stats: records.Stats{Codec: "opus"}, LevelDBov: -127, MOS: 4.4}, Video: records.Stats{Codec: "H264", Width: 1280, Height: 720, FPS: 30}}
	inside := party
	inside.State = core.Joined
	all := map[string]example{
		"list-participants":  {out: []participantView{inside}},
		"layout-participant": {in: layoutBody{"2x2"}},
		"unmute-participant": {about: "A party that was muted by a host is asked to unmute itself; nobody opens another's microphone."},
		"end":                {about: "A one-time meeting is no more then."},
		"lock":               {about: "A meeting that does not run begins locked."},
		"dial":               {about: "Answers while it rings; events tell what becomes of it.", in: dialBody{"sips:room4@example.org", "Room 4"}, out: party, errors: []int{502, 503}},
		"ring":               {about: "It rings for a minute, and the caller hears of a refusal by the event declined.", in: ringBody{benID}, errors: []int{429, 503}},
		"decline":            {about: "The caller is told by the event declined."},
	}
	return all
}

func callExamples() map[string]example {
	call := store.Call{ID: anID, Started: morning, Ended: morning.Add(25 * time.Minute), Protocol: "sip", Direction: "in", From: "sip:room4@example.org", To: "7001", Source: "192.0.2.7",
		Meeting: "7001", Account: annID, Code: "normal", Detail: store.CallDetail{Name: "Room 4", MOS: 4.4, Security: store.CallSecurity{Signalling: "tls", Media: "sdes-srtp", Suite: "AEAD_AES_256_GCM"},
			Findings: []store.Finding{{Code: "good", Grade: doctor.Good, Text: "The call went well for 25m0s: opus, 0.1 % of its packets lost, MOS 4.4. Somebody hung up."}}}}
	return map[string]example{
		"list-calls": {out: []store.Call{call}},
		"get-call":   {out: call},
		"usage": {about: "Of the call records that are still kept (records.days). Days are of UTC.", out: []store.Usage{{Key: "2026-03-05", Calls: 12, Refused: 1, Minutes: 361.5, MOS: 4.3}},
			text: map[string]string{"text/csv": "day,name,calls,refused,minutes,mos\n2026-03-05,,12,1,361.5,4.3\n"}},
		"history":    {out: []historyLine{{ID: call.ID, Started: call.Started, Ended: call.Ended, Protocol: call.Protocol, Direction: call.Direction, To: call.To, Meeting: call.Meeting, Name: "Weekly", Code: call.Code, MOS: 4.4}}},
		"get-pcap":   {about: "Each message is a UDP datagram with the addresses and the time that it had, whatever it came by; secrets are masked, so lengths differ.", text: map[string]string{pcapType: "a pcap file"}},
		"get-bundle": {about: "The verdict, the record, the ladder and the course of the sound.", text: map[string]string{textType: "Call " + anID + "\n\ngood    good: The call went well for 25m0s: opus, 0.1 % of its packets lost, MOS 4.4. Somebody hung up.\n"}},
		"export-calls": {about: "Of the records that are still kept (records.days), those that have ended.", errors: []int{422},
			text: map[string]string{csvType: "id,started,answered,ended,minutes,protocol,direction,from,name,to,source,meeting,trunk,account,signalling,media,suite,codec,packets_received,packets_sent,packets_lost,jitter_ms,rtt_ms,mos,code,status,reason,verdict,stir,attest,stir_by\n"}},
		"get-ladder": {about: "Secrets in messages are masked.", out: ladder{ID: call.ID, Verdict: doctor.Verdict(call.Detail.Findings), Findings: call.Detail.Findings, Steps: []store.Step{
			{At: morning, From: "192.0.2.7:40122", To: "192.0.2.1:5061", Network: "tls", What: "INVITE sip:7001@meet.example.org SIP/2.0", Text: "INVITE sip:7001@meet.example.org SIP/2.0\r\n…"}, {At: morning, What: "room", Text: "meeting 7001"}},
			Media: []store.Sample{{At: morning.Add(5 * time.Second), Codec: "opus", Received: 250, Lost: 1, Sent: 250, JitterMS: 2.5, RTTMS: 18, LevelDBov: -24}}}},
	}
}

func lineExamples() map[string]example {
	trunk := trunkView{Trunk: store.Trunk{ID: anID, Name: "carrier", TrunkSettings: store.TrunkSettings{Mode: "register", Transport: "tls", Host: "sip.example.net", Username: "493023125000",
		Source: []string{"203.0.113.0/24"}, MediaEncryption: "required", Country: "DE", Weight: 1, CallsPerSecond: 5}}, HasPassword: true, TrunkState: TrunkState{State: "disabled"}}
	number := store.Number{Number: "+493023125000", Trunk: trunk.Name, Target: "reception", Country: "DE", Language: "de", Label: "Berlin", InInvites: true}
	rule := NewRule()
	rule.ID, rule.Name, rule.Direction, rule.Class, rule.Pattern, rule.Target, rule.Countries = anID, "calls to London", "out", "member", "+4420", "trunk:carrier", []string{"GB"}
	attempt := store.Attempt{Direction: "out", To: "tel:+442079460018", Class: "user", At: morning}
	decision := dialplan.Decision{Outcome: "trunk:carrier +442079460018", Rule: rule.Name, Number: "+442079460018", Lines: []string{"carrier"},
		Steps: []dialplan.Tried{{What: "rule", Name: rule.Name, Matched: true, Why: "+442079460018 matches +4420: trunk:carrier"}}}
	blocked := edge.Block{ID: "1", Network: netip.MustParsePrefix("198.51.100.0/24"), Transport: "udp", Since: morning, Until: morning.Add(10 * time.Minute), Strikes: map[edge.Offence]int{edge.Unlisted: 4000}, Dropped: 1200,
		Why: "sent 4,000 messages to where only trunks are heard"}
	called := syntheticView{store.SyntheticCaller{Number: number.Number, SyntheticSettings: store.SyntheticSettings{Meeting: "7001", Every: 15, Enabled: true}}, true,
		&store.SyntheticCall{Number: number.Number, At: morning, OK: true, Call: anID, Came: "id-of-the-other", AnswerMS: 840, GreetingMS: 120, MeetingMS: 950, LevelDBov: -21, JitterMS: 1.5, MOS: 4.36}}
	strange := store.Attempt{Direction: "in", To: "+493023125999", Trunk: trunk.Name, At: morning}
	expected := dialplan.Result{Expectation: store.Expectation{ID: anID, Name: "numbers that are not ours are refused", Call: strange, Want: "refuse not-found"}, Met: true,
		Decision: dialplan.Decision{Outcome: "refuse not-found", Says: "This number is not in service.", Steps: []dialplan.Tried{{What: "number", Why: "+493023125999 is no number of this bridge"}, {What: "default", Matched: true, Why: "calls from the telephone network lead nowhere else"}}}}
	device := deviceView{store.Device{ID: anID, User: "room4", Name: "Room 4", Extension: "204", Created: started},
		[]Registration{{User: "room4", Contact: "sip:room4@192.0.2.7:5061", Protocol: "sip", Source: "192.0.2.7", Since: started, Expires: started.Add(time.Hour)}}}
	return map[string]example{
		"list-trunks": {out: []trunkView{trunk}},
		"get-trunk":   {out: trunk},
		"add-trunk": {about: "A trunk is enabled only when its check passes, or by override_check. The password goes in and never comes out.",
			in: trunkBody{Name: &trunk.Name, Mode: &trunk.Mode, Transport: &trunk.Transport, Host: &trunk.Host, Username: &trunk.Username, Password: new(aPassword), Source: &trunk.Source, Country: &trunk.Country,
				TrunkOptions: store.TrunkOptions{NumberFormat: "national", MaxDuration: 7200}}, out: trunk},
		"change-trunk": {about: "Fields that are missing stay.", in: trunkBody{Country: &trunk.Country}, out: trunk},
		"remove-trunk": {},
		"check-trunk": {about: "Takes some seconds, and changes nothing.", out: []CheckLine{{What: "DNS", OK: true, Detail: "leads to tls:203.0.113.5:5061"},
			{What: "REGISTER", Detail: "not registered: 403 Forbidden", Remedy: "The carrier does not let this account in: check username and password, and whether it allows this address."}}},
		"list-trunk-templates": {about: "What a template leaves open is in its asks; the rest goes into a new trunk as it is.",
			out: []lines.Template{{ID: "generic-register", Name: "Any carrier that gives a user name and password", Asks: []string{"host", "username", "password"},
				Trunk: store.TrunkSettings{Mode: "register", Transport: "tls", MediaEncryption: "required", Source: []string{}}}}},
		"list-numbers":           {out: []store.Number{number}},
		"add-number":             {about: "It leads to the reception, to a meeting or to a user.", in: numberBody{Number: number.Number, Trunk: number.Trunk, Target: number.Target, Country: number.Country, Language: number.Language, Label: number.Label}, out: number},
		"change-number":          {about: "Fields that are missing stay.", in: numberPatch{Target: &number.Target}, out: number},
		"remove-number":          {},
		"list-synthetic-callers": {out: []syntheticView{called}},
		"add-synthetic-caller": {about: "It calls the number over a trunk, as anybody outside would, waits for the greeting, presses the keys and waits until the call is in the meeting, where it listens and is listened to. What went otherwise than the time before is an alert.",
			in: syntheticNew{called.Number, SyntheticBody{Meeting: &called.Meeting, Keys: new("7001#,,4711#"), Every: &called.Every}}, out: called},
		"change-synthetic-caller": {about: "Fields that are missing stay.", in: SyntheticBody{Enabled: new(false)}, out: called},
		"remove-synthetic-caller": {},
		"list-synthetic-calls":    {out: []store.SyntheticCall{*called.Last}},
		"call-synthetically":      {about: "Answers when the call is over, in less than two minutes.", out: *called.Last},
		"list-rules":              {out: []store.Rule{rule}},
		"add-rule": {about: "What can be called by a number or name of its own (telephone numbers, meetings, devices, accounts) comes before all rules; of these, the first that matches decides. One that leads to a trunk is for callers who have proved who they are, and calls the countries that it names, none when it names none.",
			in: ruleBody{Name: &rule.Name, Priority: &rule.Priority, Direction: &rule.Direction, Class: &rule.Class, Pattern: &rule.Pattern, Target: &rule.Target, Countries: &rule.Countries}, out: rule},
		"change-rule":        {about: "Fields that are missing stay.", in: ruleBody{Enabled: new(false)}, out: rule},
		"remove-rule":        {},
		"simulate-call":      {about: "By what decides about calls, so that it is what would happen. It places none.", in: attempt, out: decision},
		"list-blocks":        {about: "Datagrams and connections from there are dropped unread until the time given. Trunks and the networks of block.allow are never blocked. Who sends datagrams may not be who they say, so these block datagrams only.", out: []edge.Block{blocked}},
		"lift-block":         {about: "What the source did before is forgotten."},
		"list-expectations":  {out: []dialplan.Result{expected}},
		"add-expectation":    {about: "It must be so now. From then on a change of rules, numbers or trunks that breaks it is refused with 409, and the answer names it.", in: expectationBody{Name: expected.Name, Call: strange, Want: expected.Want}, out: expected},
		"remove-expectation": {},
		"list-devices":       {out: []deviceView{device}},
		"add-device":         {about: "The password goes in and never comes out.", in: deviceBody{User: device.User, Password: aPassword, Name: device.Name, Extension: device.Extension}, out: device},
		"change-device":      {about: "Fields that are missing stay. Superusers may hide a device, and nothing else.", in: devicePatch{Hidden: new(false)}, out: device},
		"remove-device":      {},
	}
}

func directoryExamples() map[string]example {
	ben := directory.Entry{ID: benID, Kind: directory.Person, Name: "Ben Example", Number: "205", Address: "sips:ben@meet.example.org", SIP: "sips:ben@meet.example.org", Present: true}
	return map[string]example{
		"search-directory": {about: "What is hidden is found by whom it belongs to alone.", out: directoryPage{[]directory.Entry{ben}, "cursor-of-the-next-page"}},
		"export-directory": {about: "Needs a token, or the user name and password of a device. A device is given what everybody may find.", text: map[string]string{"text/vcard": string(directory.VCards([]directory.Entry{ben}))}, errors: []int{401, 429}},
	}
}

func chatExamples() map[string]example {
	hello := store.Message{ID: 42, Conversation: anID, Sender: annID, Name: ann.DisplayName, Text: "Hello", At: morning}
	talk := store.Conversation{ID: anID, Kind: "direct", Created: started, Members: []store.Member{{ID: annID, Name: ann.DisplayName}, {ID: benID, Name: "Ben Example"}}, Unread: 1, Last: &hello}
	const closed = "Answers 403 while chat is switched off."
	return map[string]example{
		"list-conversations": {about: closed, out: []store.Conversation{talk}},
		"add-conversation":   {about: closed, in: conversationBody{Members: []string{benID}}, out: talk, errors: []int{404, 429}},
		"get-conversation":   {about: closed, out: talk},
		"add-members":        {about: closed, in: membersBody{[]string{benID}}, out: talk, errors: []int{429}},
		"leave-conversation": {about: "What is written from then on is not yours to read."},
		"list-messages":      {about: closed, out: []store.Message{hello}},
		"add-message":        {about: closed, in: textBody{hello.Text}, out: hello, errors: []int{429}},
		"remove-message":     {about: "Readers are told by an event message without text."},
		"mark-read":          {about: closed, in: readBody{hello.ID}},
	}
}

func besideExamples() map[string]example {
	rings, _ := json.Marshal(ringEvent{"7001", annID, ann.DisplayName})
	return map[string]example{
		"network": {about: "For whoever sets up firewalls and the DNS: no more than a scan finds.",
			out: network.New(network.Options{Host: "meet.example.org", Ports: map[string]int{"https": 443, "sips": 5061, "h323": 1720}})},
		"events": {about: "Topics: meeting, participant, call; number, a synthetic caller came through otherwise than before, to superusers; synthetic, it has called, to superusers; block, a source that attacks is blocked, or no more, to superusers; configured, something that is set up has changed, to superusers; device, a registered one that has gone or is back, to superusers; registrations, an entry of the directory that has come or gone; message, in a conversation, without text when it is erased; typed, what a caller keys in at the reception, a passcode as dots, to superusers; toll, calls to telephones are refused, to superusers; ring, somebody calls you; declined, somebody does not take your call. Users are told of their own meetings, superusers of all and of calls; everybody of the entries that they find in the directory, and of messages in their conversations. The stream ends when the right to it does.",
			text: map[string]string{"text/event-stream": ": connected\n\nevent: ring\ndata: " + string(rings) + "\n\n"}},
		"metrics": {about: "In the text format of Prometheus. Networks of metrics.open_to need no token.", text: map[string]string{"text/plain": "# TYPE bridgehead_meetings gauge\nbridgehead_meetings 3\n"}},
		"healthz": {about: "For load balancers and watchdogs.", text: map[string]string{"text/plain": "ok\n"}},
	}
}
