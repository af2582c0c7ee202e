package compose

import "slices"

// Layout is how a composed picture is divided.
type Layout string

// The layouts. Of those with a large cell it is the first.
const (
	Switched Layout = "switched" // not composed: who speaks, as the far end sends it
	Speaker  Layout = "speaker"  // who speaks, over a strip of the others
	Content  Layout = "content"  // a shared screen, beside those who speak
	OneSeven Layout = "1+7"
	Grid2    Layout = "2x2"
	Grid3    Layout = "3x3"
	Grid4    Layout = "4x4"
	// Single is who speaks alone: for those who see them switched, but cannot
	// decode what the far end sends. It is not to be chosen.
	Single Layout = "single"
)

// Layouts to choose from, in the order of the key that steps through them.
var Layouts = []Layout{Speaker, Grid2, Grid3, Grid4, OneSeven, Content, Switched}

// Valid tells whether it can be chosen.
func (l Layout) Valid() bool { return slices.Contains(Layouts, l) }

// Next is the one after l.
func (l Layout) Next() Layout { return Layouts[(slices.Index(Layouts, l)+1)%len(Layouts)] }

// Large tells whether the first cell is larger than the others.
func (l Layout) Large() bool { return l.grid() == 0 }

// Size is how many cells there are at most.
func (l Layout) Size() int {
	switch l {
	case Single:
		return 1
	case OneSeven:
		return 8
	case Speaker, Content:
		return 6
	}
	return l.grid() * l.grid()
}

func (l Layout) grid() int {
	return map[Layout]int{Grid2: 2, Grid3: 3, Grid4: 4}[l]
}

// Rect is a part of a picture, in even pixels.
type Rect struct{ X, Y, W, H int }

// Cells are those of a picture of w by h for so many to be shown. They have the
// shape of the picture.
func (l Layout) Cells(w, h, people int) (cells []Rect) {
	people = min(max(people, 1), l.Size())
	at := func(x, y, cw, ch, of int) { cells = append(cells, part(w, h, x, y, cw, ch, of)) }
	switch n := l.grid(); {
	case n > 0:
		for i := range people {
			at(i%n, i/n, 1, 1, n)
		}
	case people == 1:
		at(0, 0, 1, 1, 1)
	case l == OneSeven:
		at(0, 0, 3, 3, 4)
		for i := range people - 1 { // down the right, then along the foot
			if i < 3 {
				at(3, i, 1, 1, 4)
			} else {
				at(6-i, 3, 1, 1, 4)
			}
		}
	case l == Content:
		at(0, 1, 8, 8, 10)
		for i := range people - 1 {
			at(8, 2*i+6-people, 2, 2, 10)
		}
	default:
		at(1, 0, 8, 8, 10)
		for i := range people - 1 {
			at(2*i+6-people, 8, 2, 2, 10)
		}
	}
	return cells
}

// part is a rectangle in units of a fraction of the picture.
func part(w, h, x, y, cw, ch, of int) Rect {
	left, top := w*x/of&^1, h*y/of&^1
	return Rect{left, top, w*(x+cw)/of&^1 - left, h*(y+ch)/of&^1 - top}
}

// Quality is a size and rate in which pictures are made.
type Quality struct {
	Width, Height, Rate, BitsPerSec int
}

// Qualities are large to small; the last is taken by every decoder.
var Qualities = []Quality{
	{1280, 720, 30, 1_800_000},
	{640, 360, 30, 700_000},
	{640, 360, 15, 450_000},
	{320, 176, 15, 180_000},
	{176, 96, 15, 56_000},
}

// macroblocks of a picture.
func (q Quality) macroblocks() int { return (q.Width + 15) / 16 * ((q.Height + 15) / 16) }

// Fits tells whether the quality is within so many macroblocks in a picture and
// a second, and so many bit/s; 0 is no limit.
func (q Quality) Fits(fs, mbps, bits int) bool {
	n := q.macroblocks()
	return n <= fs && n*q.Rate <= mbps && (bits == 0 || q.BitsPerSec <= bits)
}
