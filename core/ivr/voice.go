// Package ivr speaks with callers who have only ears and keys: the reception,
// a voice menu that asks for meeting number and passcode, is a Room like any
// other; so is the spoken refusal.
package ivr

import (
	"fmt"

	"bridgehead/core/ivr/prompts"
	"bridgehead/core/mix"
)

// Voice finds prompts in one language.
type Voice struct{ set *prompts.Set }

// NewVoice loads the prompts of a language, such as "en".
func NewVoice(lang string) (*Voice, error) {
	set, err := prompts.Load(lang)
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

// Count speaks a number from 0 to 999; above, "many" would be as good.
func (v *Voice) Count(n int) (clips []*mix.Clip) {
	if n >= 100 {
		clips = append(clips, v.Count(n/100%10)...)
		clips = append(clips, v.Say("hundred")...)
		if n %= 100; n == 0 {
			return clips
		}
	}
	if n > 20 && n%10 != 0 {
		return append(append(clips, v.Say(fmt.Sprint(n-n%10))...), v.Say(fmt.Sprint(n%10))...)
	}
	return append(clips, v.Say(fmt.Sprint(n))...)
}
