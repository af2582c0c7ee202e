package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core"
	"bridgehead/core/meet"
	"bridgehead/core/rtpio"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// meetingBody makes a meeting. Passcodes go in and never come out.
type meetingBody struct {
	Number          string        `json:"number,omitempty" pattern:"^[0-9]{3,20}$" doc:"digits; chosen when missing"`
	Name            string        `json:"name,omitempty" maxLength:"128"`
	Kind            string        `json:"kind,omitempty" enum:"permanent,one-time" default:"permanent"`
	Hidden          bool          `json:"hidden,omitempty"`
	HostPasscode    string        `json:"host_passcode,omitempty" pattern:"^[0-9]{4,16}$"`
	GuestPasscode   string        `json:"guest_passcode,omitempty" pattern:"^[0-9]{4,16}$"`
	Admission       string        `json:"admission,omitempty" enum:"open,accept,accept-any,known" default:"open" doc:"open; accept: a host lets each guest in; accept-any: anybody inside does; known: a host does, but who is signed in or a registered device comes in"`
	EncryptedOnly   bool          `json:"encrypted_only,omitempty"`
	MaxParticipants int           `json:"max_participants,omitempty" minimum:"0" maximum:"10000" doc:"0: no limit of its own"`
	Layout          string        `json:"layout,omitempty" pattern:"^(speaker|2x2|3x3|4x4|1[+]7|content|switched)?$" doc:"of the picture of those who show one only; as configured when missing"`
	Presenting      string        `json:"presenting,omitempty" enum:"take-over,keep" doc:"take-over, the default: whoever begins to present takes over, but no guest from a host; keep: who presents stays until done"`
	WaitForHost     bool          `json:"wait_for_host,omitempty" doc:"guests hear music until a host is there"`
	MuteOnEntry     bool          `json:"mute_on_entry,omitempty" doc:"guests come in muted"`
	Quiet           bool          `json:"quiet,omitempty" doc:"comings and goings are not announced"`
	Schedule        *ScheduleBody `json:"schedule,omitempty"`
	Hosts           []string      `json:"hosts,omitempty" maxItems:"50" doc:"ids or e-mail addresses of accounts that are hosts beside the owner"`
}

type meetingPatch struct {
	Name            *string       `json:"name,omitempty" maxLength:"128"`
	Hidden          *bool         `json:"hidden,omitempty"`
	HostPasscode    *string       `json:"host_passcode,omitempty" pattern:"^([0-9]{4,16})?$" doc:"empty removes it"`
	GuestPasscode   *string       `json:"guest_passcode,omitempty" pattern:"^([0-9]{4,16})?$" doc:"empty removes it"`
	Admission       *string       `json:"admission,omitempty" enum:"open,accept,accept-any,known"`
	EncryptedOnly   *bool         `json:"encrypted_only,omitempty"`
	MaxParticipants *int          `json:"max_participants,omitempty" minimum:"0" maximum:"10000"`
	Layout          *string       `json:"layout,omitempty" pattern:"^(speaker|2x2|3x3|4x4|1[+]7|content|switched)?$" doc:"of the picture of those who show one only; empty: as configured"`
	Presenting      *string       `json:"presenting,omitempty" enum:"take-over,keep"`
	WaitForHost     *bool         `json:"wait_for_host,omitempty"`
	MuteOnEntry     *bool         `json:"mute_on_entry,omitempty"`
	Quiet           *bool         `json:"quiet,omitempty"`
	Schedule        *ScheduleBody `json:"schedule,omitempty" doc:"of 0 minutes: at any time"`
	Hosts           *[]string     `json:"hosts,omitempty" maxItems:"50"`
}

type meetingView struct {
	Number           string        `json:"number"`
	Name             string        `json:"name"`
	Kind             string        `json:"kind" enum:"permanent,one-time"`
	Hidden           bool          `json:"hidden"`
	HasHostPasscode  bool          `json:"has_host_passcode"`
	HasGuestPasscode bool          `json:"has_guest_passcode"`
	Admission        string        `json:"admission" enum:"open,accept,accept-any,known"`
	EncryptedOnly    bool          `json:"encrypted_only"`
	MaxParticipants  int           `json:"max_participants"`
	Layout           string        `json:"layout" doc:"empty: as configured"`
	Presenting       string        `json:"presenting" enum:"take-over,keep"`
	WaitForHost      bool          `json:"wait_for_host"`
	MuteOnEntry      bool          `json:"mute_on_entry"`
	Quiet            bool          `json:"quiet"`
	Schedule         *scheduleView `json:"schedule,omitempty"`
	Hosts            []string      `json:"hosts" doc:"ids of accounts that are hosts beside the owner"`
	Mine             bool          `json:"mine" doc:"the caller owns it"`
	Host             bool          `json:"host" doc:"the caller is its host"`
	Owner            string        `json:"owner,omitempty"`
	Created          time.Time     `json:"created"`
	Participants     int           `json:"participants"`
	Waiting          int           `json:"waiting"`
	Locked           bool          `json:"locked"`
}

func (s *server) view(ctx context.Context, m store.Meeting) meetingView {
	v := meetingView{Number: m.Number, Name: m.Name, Kind: m.Kind, Hidden: m.Hidden, HasHostPasscode: m.HostPasscode != "",
		HasGuestPasscode: m.GuestPasscode != "", Admission: m.Admission, EncryptedOnly: m.EncryptedOnly,
		MaxParticipants: m.MaxParticipants, Layout: m.Layout, Presenting: cmp.Or(m.Presenting, "take-over"), Owner: m.Owner, Created: m.Created,
		WaitForHost: m.WaitForHost, MuteOnEntry: m.MuteOnEntry, Quiet: m.Quiet, Schedule: scheduled(m.Schedule), Hosts: m.Hosts}
	if v.Hosts == nil {
		v.Hosts = []string{}
	}
	caller := userOf(ctx).ID
	v.Mine = caller != "" && caller == m.Owner
	v.Host = v.Mine || slices.Contains(m.Hosts, caller)
	if live := s.Plan.Live.Running(m.Number); live != nil {
		v.Participants, v.Waiting = live.Size()
		_, v.Locked = live.Settings()
	}
	return v
}

// ByNumber names a meeting in a path.
type ByNumber struct {
	Number string `path:"number" maxLength:"32"`
}

// mine finds a meeting that the caller may change: its own, or any for
// superusers and administrators.
func (s *server) mine(ctx context.Context, number string) (store.Meeting, error) {
	return s.managed(ctx, number, func(u store.User, m store.Meeting) bool { return m.Owner == u.ID })
}

// hosted finds a meeting that the caller may moderate: its own, one that it was
// made host of, or any for superusers and administrators.
func (s *server) hosted(ctx context.Context, number string) (store.Meeting, error) {
	return s.managed(ctx, number, func(u store.User, m store.Meeting) bool { return m.Owner == u.ID || slices.Contains(m.Hosts, u.ID) })
}

// managed finds a meeting that the caller has a right to. Of others' hidden ones
// a user learns nothing.
func (s *server) managed(ctx context.Context, number string, right func(store.User, store.Meeting) bool) (store.Meeting, error) {
	m, err := s.Store.Meeting(ctx, number)
	if err != nil {
		return m, fail(err)
	}
	if u := userOf(ctx); !right(u, m) && !allowed(u.Role, store.RoleSuperuser) {
		if m.Hidden || m.OneTime() {
			return store.Meeting{}, fail(store.ErrNotFound)
		}
		return store.Meeting{}, huma.Error403Forbidden("This meeting belongs to somebody else.")
	}
	return m, nil
}

// meetings keeps meetings.
func (s *server) meetings(api huma.API) {
	const tag = "Meetings"
	huma.Register(api, operation("GET", "/meetings", "list-meetings", "List meetings", store.RoleUser, tag), s.listMeetings)
	huma.Register(api, operation("POST", "/meetings", "add-meeting", "Make a meeting", store.RoleUser, tag), s.addMeeting)
	huma.Register(api, operation("GET", "/meetings/{number}", "get-meeting", "Show a meeting", store.RoleUser, tag), func(ctx context.Context, in *ByNumber) (*body[meetingView], error) {
		m, err := s.hosted(ctx, in.Number)
		return answer(s.view(ctx, m), err)
	})
	s.invitations(api)
	huma.Register(api, operation("PATCH", "/meetings/{number}", "change-meeting", "Change a meeting", store.RoleUser, tag), s.changeMeeting)
	huma.Register(api, operation("DELETE", "/meetings/{number}", "remove-meeting", "Delete a meeting and end it if it runs", store.RoleUser, tag), s.removeMeeting)
}

func (s *server) listMeetings(ctx context.Context, _ *nothing) (*body[[]meetingView], error) {
	all, err := s.Store.Meetings(ctx)
	u := userOf(ctx)
	list := []meetingView{}
	for _, m := range all {
		if m.Owner == u.ID || slices.Contains(m.Hosts, u.ID) || allowed(u.Role, store.RoleSuperuser) || !m.Hidden && !m.OneTime() {
			list = append(list, s.view(ctx, m))
		}
	}
	return answer(list, err)
}

func (s *server) addMeeting(ctx context.Context, in *body[meetingBody]) (*body[meetingView], error) {
	b := in.Body
	at, err := b.Schedule.schedule()
	if err != nil {
		return nil, err
	}
	hosts, err := s.hosts(ctx, b.Hosts)
	if err != nil {
		return nil, err
	}
	m := store.Meeting{Number: b.Number, Name: b.Name, Kind: b.Kind, Hidden: b.Hidden || b.Kind == "one-time", HostPasscode: b.HostPasscode,
		GuestPasscode: b.GuestPasscode, Admission: b.Admission, EncryptedOnly: b.EncryptedOnly, MaxParticipants: b.MaxParticipants, Layout: b.Layout, Presenting: b.Presenting, Owner: userOf(ctx).ID,
		WaitForHost: b.WaitForHost, MuteOnEntry: b.MuteOnEntry, Quiet: b.Quiet, Schedule: at, Hosts: hosts}
	if err := samePasscodes(m); err != nil {
		return nil, err
	}
	m, err = s.Store.AddMeeting(ctx, m)
	return answer(s.view(ctx, m), err)
}

func samePasscodes(m store.Meeting) error {
	if m.HostPasscode != "" && m.HostPasscode == m.GuestPasscode {
		return huma.Error422UnprocessableEntity("Host and guest passcode must differ.")
	}
	return nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *server) changeMeeting(ctx context.Context, in *struct {
	ByNumber
	Body meetingPatch
}) (*body[meetingView], error) {
	m, err := s.mine(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	p := in.Body
	set(&m.Name, p.Name)
	set(&m.Hidden, p.Hidden)
	set(&m.HostPasscode, p.HostPasscode)
	set(&m.GuestPasscode, p.GuestPasscode)
	set(&m.Admission, p.Admission)
	set(&m.EncryptedOnly, p.EncryptedOnly)
	set(&m.MaxParticipants, p.MaxParticipants)
	set(&m.Layout, p.Layout)
	set(&m.Presenting, p.Presenting)
	set(&m.WaitForHost, p.WaitForHost)
	set(&m.MuteOnEntry, p.MuteOnEntry)
	set(&m.Quiet, p.Quiet)
	if p.Schedule != nil {
		if m.Schedule, err = p.Schedule.schedule(); err != nil {
			return nil, err
		}
	}
	if p.Hosts != nil {
		if m.Hosts, err = s.hosts(ctx, *p.Hosts); err != nil {
			return nil, err
		}
	}
	if err := samePasscodes(m); err != nil {
		return nil, err
	}
	if err := s.Store.UpdateMeeting(ctx, m); err != nil {
		return nil, fail(err)
	}
	s.Plan.Live.Update(m)
	return answer(s.view(ctx, m), nil)
}

func (s *server) removeMeeting(ctx context.Context, in *ByNumber) (*nothing, error) {
	if _, err := s.mine(ctx, in.Number); err != nil {
		return nil, err
	}
	if err := s.Store.RemoveMeeting(ctx, in.Number); err != nil {
		return nil, fail(err)
	}
	s.Plan.Live.End(in.Number, core.Reason{Code: core.Ended, Say: "This meeting has been deleted.", Detail: "deleted by API"})
	return nil, nil
}

type audioView struct {
	records.Stats
	LevelDBov int     `json:"level_dbov" doc:"0 is loudest, -127 silence"`
	MOS       float64 `json:"mos"`
}

type participantView struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Address    string         `json:"address"`
	Protocol   core.Protocol  `json:"protocol" enum:"webrtc,sip,h323,pstn"`
	Direction  core.Direction `json:"direction" enum:"in,out"`
	State      core.State     `json:"state" enum:"reception,waiting,joined,held"`
	Role       core.Role      `json:"role" enum:"host,guest"`
	AudioMuted bool           `json:"audio_muted"`
	VideoMuted bool           `json:"video_muted"`
	HandRaised bool           `json:"hand_raised"`
	Security   core.Security  `json:"security"`
	Stir       core.Stir      `json:"stir,omitzero" doc:"what is known of the number of a caller on the telephone network (STIR, RFC 8224)"`
	Sources    []core.Source  `json:"sources"`
	Audio      audioView      `json:"audio"`
	Video      records.Stats  `json:"video"`
	Joined     time.Time      `json:"joined"`
}

func participant(p meet.Participant) participantView {
	audio := records.Media(p.Info.AudioStats, p.Info.RTT)
	v := participantView{ID: p.ID, Name: p.Name, Address: p.Address, Protocol: p.Protocol, Direction: p.Direction, State: p.State, Role: p.Role,
		AudioMuted: p.AudioMuted, VideoMuted: p.VideoMuted, HandRaised: p.HandRaised, Security: p.Info.Security, Stir: p.Info.Stir, Sources: p.Sources,
		Audio: audioView{audio, -int(p.Level), rtpio.MOS(p.Info.AudioStats, p.Info.RTT)}, Video: records.Media(p.Info.VideoStats, p.Info.RTT), Joined: p.Joined}
	if v.Sources == nil {
		v.Sources = []core.Source{}
	}
	return v
}

type layoutBody struct {
	Layout string `json:"layout" pattern:"^(speaker|2x2|3x3|4x4|1[+]7|content|switched)?$" doc:"empty: as the meeting's"`
}

type dialBody struct {
	To   string `json:"to" maxLength:"512" example:"sips:room@example.org"`
	Name string `json:"name,omitempty" maxLength:"64"`
}

// moderation acts on running meetings.
func (s *server) moderation(api huma.API) {
	const tag = "Moderation"
	huma.Register(api, operation("GET", "/meetings/{number}/participants", "list-participants", "Who is in a meeting, and who waits", store.RoleUser, tag), s.participants)
	for verb, summary := range map[core.Verb]string{
		core.Accept: "Let a waiting party in", core.Reject: "Send a waiting party away", core.MuteParty: "Mute a party's microphone",
		core.Unmute: "Unmute it", core.StopVideo: "Stop its camera", core.Remove: "Remove a party", core.MakeHost: "Make a party host", core.LowerHand: "Lower its hand",
	} {
		huma.Register(api, operation("POST", "/meetings/{number}/participants/{id}/"+string(verb), string(verb)+"-participant", summary, store.RoleUser, tag),
			func(ctx context.Context, in *struct {
				ByNumber
				ByID
			}) (*nothing, error) {
				return nil, s.command(ctx, in.Number, core.Command{Verb: verb, Party: in.ID})
			})
	}
	for verb, summary := range map[core.Verb]string{
		core.MuteAll: "Mute everybody but hosts, latecomers too", core.UnmuteAll: "Unmute everybody", core.RemoveAll: "Remove everybody",
		core.Lock: "Let no more guests in", core.Unlock: "Let guests in again", core.EndMeeting: "End the meeting",
	} {
		huma.Register(api, operation("POST", "/meetings/{number}/"+string(verb), string(verb), summary, store.RoleUser, tag),
			func(ctx context.Context, in *ByNumber) (*nothing, error) {
				return nil, s.command(ctx, in.Number, core.Command{Verb: verb})
			})
	}
	huma.Register(api, operation("POST", "/meetings/{number}/participants/{id}/layout", "layout-participant", "Compose a party's picture otherwise than the meeting's", store.RoleUser, tag),
		func(ctx context.Context, in *struct {
			ByNumber
			ByID
			Body layoutBody
		}) (*nothing, error) {
			return nil, s.command(ctx, in.Number, core.Command{Verb: core.SetLayout, Party: in.ID, Value: in.Body.Layout})
		})
	huma.Register(api, operation("POST", "/meetings/{number}/dial", "dial", "Call an address into a meeting", store.RoleUser, tag), s.dial)
}

func (s *server) participants(ctx context.Context, in *ByNumber) (*body[[]participantView], error) {
	if _, err := s.hosted(ctx, in.Number); err != nil {
		return nil, err
	}
	list := []participantView{}
	if m := s.Plan.Live.Running(in.Number); m != nil {
		for _, p := range m.Participants() {
			list = append(list, participant(p))
		}
	}
	return answer(list, nil)
}

func (s *server) command(ctx context.Context, number string, c core.Command) error {
	kept, err := s.hosted(ctx, number)
	if err != nil {
		return err
	}
	m := s.Plan.Live.Running(number)
	if m == nil && c.Verb == core.EndMeeting {
		if kept.OneTime() { // ended before anybody came
			return fail(s.Store.RemoveMeeting(ctx, number))
		}
		return nil
	}
	if m == nil && (c.Verb == core.Lock || c.Verb == core.Unlock) {
		if m, _, err = s.Plan.Live.Open(ctx, number); err != nil {
			return fail(err)
		}
	}
	if m == nil {
		return huma.Error404NotFound("Nobody is in this meeting.")
	}
	return fail(m.Command(c))
}

func (s *server) dial(ctx context.Context, in *struct {
	ByNumber
	Body dialBody
}) (*body[participantView], error) {
	if _, err := s.hosted(ctx, in.Number); err != nil {
		return nil, err
	}
	m, _, err := s.Plan.Live.Open(ctx, in.Number)
	if err != nil {
		return nil, fail(err)
	}
	who := userOf(ctx)
	leg, err := m.Dial(in.Body.To, in.Body.Name, &core.Info{Name: who.DisplayName, Protocol: core.WebRTC, User: who.ID})
	if err != nil {
		return nil, fail(err)
	}
	info := leg.Info()
	return answer(participant(meet.Participant{Party: core.Party{ID: info.ID, Name: info.Name, Address: info.Address, Protocol: info.Protocol,
		Direction: info.Direction, Role: core.Guest, State: core.Waiting, Security: info.Security}, Info: info, Level: 127}), nil)
}
