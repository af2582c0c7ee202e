// Package ivr speaks with callers who have only ears and keys: the reception,
// a voice menu that asks for meeting number and passcode, is a Room like any
// other; so is the spoken refusal.
package ivr

import (
	"fmt"
	"strings"

	"bridgehead/core/audio"
	"bridgehead/core/ivr/prompts"
	"bridgehead/core/mix"
)

// Voice finds prompts in one language.
type Voice struct{ set *prompts.Set }

// NewVoice loads the prompts of a language, such as "en", with the operator's
// own recordings in place of ours, in a folder of the language under dir; none
// if dir is empty.
func NewVoice(lang, dir string) (*Voice, error) {
	set, err := prompts.Load(lang)
	if err == nil && dir != "" {
		set, err = set.With(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("prompts in %q: %w", lang, err)
	}
	return &Voice{set}, nil
}

// Say finds the clip of a prompt; an unknown name gives none.
func (v *Voice) Say(name string) []*mix.Clip {
	if c := v.set.Clip(name); c != nil {
		return []*mix.Clip{c}
	}
	return nil
}

// Music is what those who wait hear, in a loop.
func (v *Voice) Music() *mix.Clip { return v.set.Clip("music") }

// ringback is made once; clips may be played by many at a time.
var ringback = mix.NewClip(8000, audio.Ringback.PCM(8000))

// Ringback is what a caller hears while another is rung, in a loop.
func (v *Voice) Ringback() *mix.Clip { return ringback }

// Count speaks a number.
func (v *Voice) Count(n int) []*mix.Clip { return v.set.Number(n) }

// Spell reads the digits of an address, one by one: the user part of a URI, or
// a telephone number. What has no digits gives none.
func (v *Voice) Spell(address string) []*mix.Clip {
	_, rest, ok := strings.Cut(address, ":")
	if ok {
		address = rest
	}
	user, _, _ := strings.Cut(address, "@")
	if len(user) > maxSpelled || strings.Trim(user, "+0123456789") != "" {
		return nil
	}
	return v.set.Digits(user)
}

// maxSpelled is the longest address that is read out: E.164 has 15 digits.
const maxSpelled = 16
