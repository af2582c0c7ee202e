package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

type conversationBody struct {
	Members []string `json:"members" minItems:"1" maxItems:"99" doc:"ids of the other accounts"`
	Name    string   `json:"name,omitempty" maxLength:"64" doc:"of a group; without it, and with one other, it is the conversation of the two"`
}

type membersBody struct {
	Members []string `json:"members" minItems:"1" maxItems:"99" doc:"ids of accounts"`
}

type textBody struct {
	Text string `json:"text" minLength:"1" maxLength:"4000" doc:"4000 bytes of UTF-8 at most"`
}

type readBody struct {
	Message int64 `json:"message" minimum:"0" doc:"the newest that was read"`
}

// private is an operation of a user that no log tells of.
func private(method, path, id, summary string) huma.Operation {
	o := operation(method, path, id, summary, store.RoleUser, "Chat")
	o.Metadata["private"] = true
	return o
}

// maxConversations bounds how many are listed.
const maxConversations = 200

// chat is conversations of accounts. Whoever is no member of one is told that
// there is none, whatever the role.
func (s *server) chat(api huma.API) {
	huma.Register(api, private("GET", "/conversations", "list-conversations", "Your conversations, the liveliest first, and of meetings what you may read"),
		func(ctx context.Context, _ *nothing) (*body[[]store.Conversation], error) {
			if err := s.Chat.Open(); err != nil {
				return nil, fail(err)
			}
			return answer(s.Store.Conversations(ctx, userOf(ctx).ID, maxConversations))
		})
	huma.Register(api, private("POST", "/conversations", "add-conversation", "Begin a conversation, or find that of the two"),
		func(ctx context.Context, in *body[conversationBody]) (*body[store.Conversation], error) {
			c, err := s.Chat.Begin(ctx, userOf(ctx).ID, in.Body.Name, in.Body.Members)
			return answer(c, err)
		})
	huma.Register(api, private("GET", "/conversations/{id}", "get-conversation", "Show a conversation"),
		func(ctx context.Context, in *ByID) (*body[store.Conversation], error) {
			if err := s.Chat.Open(); err != nil {
				return nil, fail(err)
			}
			return answer(s.Store.Conversation(ctx, in.ID, userOf(ctx).ID))
		})
	huma.Register(api, private("POST", "/conversations/{id}/members", "add-members", "Add accounts to a group; they read what is written from now on"),
		func(ctx context.Context, in *struct {
			ByID
			Body membersBody
		}) (*body[store.Conversation], error) {
			c, err := s.Chat.Add(ctx, userOf(ctx).ID, in.ID, in.Body.Members)
			return answer(c, err)
		})
	huma.Register(api, private("DELETE", "/conversations/{id}/membership", "leave-conversation", "Leave a conversation"),
		func(ctx context.Context, in *ByID) (*nothing, error) {
			return nil, fail(s.Store.LeaveConversation(ctx, in.ID, userOf(ctx).ID))
		})
	s.chatMessages(api)
}

func (s *server) chatMessages(api huma.API) {
	huma.Register(api, private("GET", "/conversations/{id}/messages", "list-messages", "What you may read of a conversation, the newest first"),
		func(ctx context.Context, in *struct {
			ByID
			Before int64 `query:"before" minimum:"0" doc:"id of the oldest message that is known; 0: from the end"`
			Limit  int   `query:"limit" minimum:"1" maximum:"200" default:"50"`
		}) (*body[[]store.Message], error) {
			if _, err := s.conversation(ctx, in.ID); err != nil {
				return nil, err
			}
			return answer(s.Store.Messages(ctx, in.ID, userOf(ctx).ID, in.Before, in.Limit))
		})
	huma.Register(api, private("POST", "/conversations/{id}/messages", "add-message", "Write to a conversation; to a meeting's in the meeting only"),
		func(ctx context.Context, in *struct {
			ByID
			Body textBody
		}) (*body[store.Message], error) {
			m, err := s.Chat.Say(ctx, userOf(ctx).ID, in.ID, in.Body.Text)
			return answer(m, err)
		})
	huma.Register(api, private("DELETE", "/conversations/{id}/messages/{message}", "remove-message", "Erase a message of your own, for everybody"),
		func(ctx context.Context, in *struct {
			ByID
			Message int64 `path:"message"`
		}) (*nothing, error) {
			return nil, fail(s.Chat.Erase(ctx, userOf(ctx).ID, in.ID, in.Message))
		})
	huma.Register(api, private("POST", "/conversations/{id}/read", "mark-read", "Note how far you have read"),
		func(ctx context.Context, in *struct {
			ByID
			Body readBody
		}) (*nothing, error) {
			if _, err := s.conversation(ctx, in.ID); err != nil {
				return nil, err
			}
			return nil, fail(s.Store.See(ctx, in.ID, userOf(ctx).ID, in.Body.Message))
		})
}

// conversation finds one that the caller may read.
func (s *server) conversation(ctx context.Context, id string) (store.Conversation, error) {
	if err := s.Chat.Open(); err != nil {
		return store.Conversation{}, fail(err)
	}
	c, err := s.Store.Conversation(ctx, id, userOf(ctx).ID)
	return c, fail(err)
}
