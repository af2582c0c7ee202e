// Package prompts is what the bridge says: sound files by language, made by
// make.sh from the texts beside them, and the music for those who wait. A new
// language is a new folder.
package prompts

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"bridgehead/core/mix"
)

//go:embed music.wav */*.wav
var files embed.FS

// Set is the prompts of one language, and the music. It is never changed.
type Set struct {
	lang  string
	clips map[string]*mix.Clip
}

var load = struct {
	sync.Mutex
	sets map[string]*Set
}{sets: map[string]*Set{}}

// Languages lists the folders, such as "de" and "en".
func Languages() []string {
	dirs, _ := fs.Glob(files, "*/welcome.wav")
	for i, d := range dirs {
		dirs[i] = path.Dir(d)
	}
	return dirs
}

// Load gives the prompts of a language, by its tag (RFC 5646): "de-AT" is
// found as "de". All callers share them.
func Load(lang string) (*Set, error) {
	lang, _, _ = strings.Cut(strings.ToLower(lang), "-")
	if !slices.Contains(Languages(), lang) {
		return nil, fmt.Errorf("prompts: no language %q, only %s", lang, strings.Join(Languages(), ", "))
	}
	load.Lock()
	defer load.Unlock()
	if s := load.sets[lang]; s != nil {
		return s, nil
	}
	s, err := read(lang)
	if err != nil {
		return nil, err
	}
	load.sets[lang] = s
	return s, nil
}

// With gives the set with the operator's own recordings in place of those of the
// same name: WAV files under dir, which may be missing. One that is no prompt's,
// or cannot be read, is an error that names it.
func (s *Set) With(dir string) (*Set, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.wav"))
	if err != nil || len(names) == 0 {
		return s, err
	}
	own := &Set{lang: s.lang, clips: maps.Clone(s.clips)}
	for _, file := range names {
		name := strings.TrimSuffix(filepath.Base(file), ".wav")
		if s.clips[name] == nil {
			return nil, fmt.Errorf("prompts: %s: there is no prompt %q; the names are those of %s/prompts.txt", file, name, s.lang)
		}
		if own.clips[name], err = recording(file); err != nil {
			return nil, fmt.Errorf("prompts: %s: %w", file, err)
		}
	}
	return own, nil
}

// maxOwn is the largest recording.
const maxOwn = 16 << 20

func recording(file string) (*mix.Clip, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxOwn {
		return nil, fmt.Errorf("larger than %d MiB", maxOwn>>20)
	}
	return mix.ReadClip(f)
}

func read(lang string) (*Set, error) {
	s := &Set{lang: lang, clips: map[string]*mix.Clip{}}
	names, err := fs.Glob(files, lang+"/*.wav")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if s.clips[strings.TrimSuffix(path.Base(name), ".wav")], err = clip(name); err != nil {
			return nil, err
		}
	}
	s.clips["music"], err = clip("music.wav")
	return s, err
}

func clip(name string) (*mix.Clip, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := mix.ReadClip(f)
	if err != nil {
		return nil, fmt.Errorf("prompts: %s: %w", name, err)
	}
	return c, nil
}

// Lang is the language's tag.
func (s *Set) Lang() string { return s.lang }

// Clip is the prompt of that name; nil if there is none. "music" is for those
// who wait; it loops.
func (s *Set) Clip(name string) *mix.Clip { return s.clips[name] }

// Clips are the prompts of those names; unknown ones are left out.
func (s *Set) Clips(names ...string) []*mix.Clip {
	var clips []*mix.Clip
	for _, n := range names {
		if c := s.clips[n]; c != nil {
			clips = append(clips, c)
		}
	}
	return clips
}

// Number is n in words, from 0 to 999; larger ones digit by digit.
func (s *Set) Number(n int) []*mix.Clip {
	if n < 0 || n > 999 {
		return s.Digits(strconv.Itoa(n))
	}
	return s.Clips(numberWords(n, s.lang == "de")...)
}

// numberWords splits a number into what is spoken; German says the ones before
// the tens, without an "and" where the files have none.
func numberWords(n int, onesFirst bool) (words []string) {
	if n >= 100 {
		words = append(words, strconv.Itoa(n/100), "hundred")
		if n %= 100; n == 0 {
			return words
		}
	}
	ones := n % 10
	switch {
	case n <= 20 || ones == 0:
		return append(words, strconv.Itoa(n))
	case onesFirst:
		return append(words, strconv.Itoa(ones), "and", strconv.Itoa(n-ones))
	}
	return append(words, strconv.Itoa(n-ones), strconv.Itoa(ones))
}

// Digits are read one by one; what is no digit is left out.
func (s *Set) Digits(digits string) []*mix.Clip {
	return s.Clips(strings.Split(digits, "")...)
}
