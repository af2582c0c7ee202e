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
// same name: WAV files under dir, in a folder of the language, which may be
// missing. One that is no prompt's, or cannot be read, is an error that names it.
func (s *Set) With(dir string) (*Set, error) {
	recordings, err := clips(os.DirFS(dir), s.lang)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, dir)
	}
	if len(recordings) == 0 {
		return s, nil
	}
	own := &Set{lang: s.lang, clips: maps.Clone(s.clips)}
	for name, c := range recordings {
		if s.clips[name] == nil {
			return nil, fmt.Errorf("prompts: %s: there is no prompt %q; the names are those of %s/prompts.txt", filepath.Join(dir, s.lang, name+".wav"), name, s.lang)
		}
		own.clips[name] = c
	}
	return own, nil
}

func read(lang string) (*Set, error) {
	all, err := clips(files, lang)
	if err != nil {
		return nil, err
	}
	all["music"], err = clip(files, "music.wav")
	return &Set{lang: lang, clips: all}, err
}

// clips reads the sound files of a folder, by prompt.
func clips(from fs.FS, folder string) (map[string]*mix.Clip, error) {
	names, err := fs.Glob(from, folder+"/*.wav")
	if err != nil {
		return nil, err
	}
	all := map[string]*mix.Clip{}
	for _, name := range names {
		if all[strings.TrimSuffix(path.Base(name), ".wav")], err = clip(from, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// maxClip is the largest sound file, in bytes.
const maxClip = 16 << 20

func clip(from fs.FS, name string) (*mix.Clip, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var c *mix.Clip
	if info, e := f.Stat(); e == nil && info.Size() > maxClip {
		err = fmt.Errorf("larger than %d MiB", maxClip>>20)
	} else {
		c, err = mix.ReadClip(f)
	}
	if err != nil {
		return nil, fmt.Errorf("prompts: %s: %w", name, err)
	}
	return c, nil
}

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
