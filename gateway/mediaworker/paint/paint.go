// Package paint draws what the media worker writes over pictures: names, marks
// and screens of text, straight into planar YUV.
package paint

import (
	"image"
	"math"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"bridgehead/gateway/mediaworker/codec"
)

// Colour in YUV with limited range (BT.601).
type Colour struct{ Y, U, V byte }

// The colours.
var (
	Ground = Colour{34, 132, 124} // where nothing is shown
	Card   = Colour{58, 134, 122} // behind the name of one without a picture
	White  = Colour{235, 128, 128}
	Grey   = Colour{170, 128, 128}
	Black  = Colour{16, 128, 128}
	Red    = Colour{81, 90, 240}
	Amber  = Colour{170, 50, 160}
)

// Mask says how much of a colour each pixel takes, 0 to 255.
type Mask struct {
	W, H int
	A    []byte
}

// Rect paints a rectangle; it is clipped to the picture, to even pixels.
func Rect(p *codec.Picture, x, y, w, h int, c Colour) {
	x, y, w, h = clip(p, x, y, w, h)
	for r := range h {
		row := p.Y[(y+r)*p.YS+x:]
		for i := range w {
			row[i] = c.Y
		}
	}
	for r := range h / 2 {
		at := (y/2+r)*p.CS + x/2
		for i := range w / 2 {
			p.U[at+i], p.V[at+i] = c.U, c.V
		}
	}
}

func clip(p *codec.Picture, x, y, w, h int) (int, int, int, int) {
	x0, y0 := max(x, 0)&^1, max(y, 0)&^1
	x1, y1 := min(x+w, p.W)&^1, min(y+h, p.H)&^1
	return x0, y0, max(x1-x0, 0), max(y1-y0, 0)
}

// Shade darkens a rectangle to a third, as a plate behind writing.
func Shade(p *codec.Picture, x, y, w, h int) {
	x, y, w, h = clip(p, x, y, w, h)
	for r := range h {
		row := p.Y[(y+r)*p.YS+x : (y+r)*p.YS+x+w]
		for i, v := range row {
			row[i] = 16 + byte(max(int(v)-16, 0)/3)
		}
	}
	for r := range h / 2 {
		at := (y/2+r)*p.CS + x/2
		for i := range w / 2 {
			p.U[at+i] = byte(128 + (int(p.U[at+i])-128)/3)
			p.V[at+i] = byte(128 + (int(p.V[at+i])-128)/3)
		}
	}
}

// Blend paints a colour through a mask whose corner is at x, y; what is beyond
// the picture is left out.
func Blend(p *codec.Picture, x, y int, m *Mask, c Colour) {
	x, y = x&^1, y&^1
	mix := func(to *byte, v, a byte) { *to = byte((int(*to)*(255-int(a)) + int(v)*int(a)) / 255) }
	for r := range m.H {
		if y+r < 0 || y+r >= p.H {
			continue
		}
		for i := range m.W {
			if px := x + i; px >= 0 && px < p.W {
				mix(&p.Y[(y+r)*p.YS+px], c.Y, m.A[r*m.W+i])
			}
		}
	}
	for r := 0; r+1 < m.H; r += 2 {
		cy := (y + r) / 2
		if y+r < 0 || cy >= p.H/2 {
			continue
		}
		for i := 0; i+1 < m.W; i += 2 {
			if px := x + i; px >= 0 && px/2 < p.W/2 {
				a := byte((int(m.A[r*m.W+i]) + int(m.A[r*m.W+i+1]) + int(m.A[(r+1)*m.W+i]) + int(m.A[(r+1)*m.W+i+1])) / 4)
				mix(&p.U[cy*p.CS+px/2], c.U, a)
				mix(&p.V[cy*p.CS+px/2], c.V, a)
			}
		}
	}
}

var typeface = sync.OnceValue(func() *opentype.Font {
	f, err := opentype.Parse(gomedium.TTF)
	if err != nil {
		panic(err) // it is part of the program
	}
	return f
})

// drawing tells masks apart.
type drawing struct {
	what      string // a text, or the name of a mark
	mark      bool
	size, fit int
}

// drawings keeps what was drawn last: names and marks are the same in every picture.
var drawings struct {
	sync.Mutex
	masks map[drawing]*Mask
}

const maxDrawings = 512

// kept is the mask of a drawing, which draw makes unless it is there.
func kept(d drawing, draw func() *Mask) *Mask {
	drawings.Lock()
	defer drawings.Unlock()
	if m := drawings.masks[d]; m != nil {
		return m
	}
	if drawings.masks == nil || len(drawings.masks) >= maxDrawings {
		drawings.masks = map[drawing]*Mask{}
	}
	m := draw()
	drawings.masks[d] = m
	return m
}

// Text writes a line of so many pixels' height, cut with an ellipsis where it is
// wider than fit pixels.
func Text(text string, size, fit int) *Mask {
	return kept(drawing{what: text, size: size, fit: fit}, func() *Mask { return write(text, size, fit) })
}

func write(text string, size, fit int) *Mask {
	face, err := opentype.NewFace(typeface(), &opentype.FaceOptions{Size: float64(size), DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return &Mask{}
	}
	defer face.Close()
	runes := []rune(text)
	if font.MeasureString(face, text).Ceil() > fit {
		for len(runes) > 0 && font.MeasureString(face, string(runes)+"…").Ceil() > fit {
			runes = runes[:len(runes)-1]
		}
		text = string(runes) + "…"
	}
	w := max((font.MeasureString(face, text).Ceil()+3)&^1, 2)
	up := face.Metrics().Ascent.Ceil()
	h := (up + face.Metrics().Descent.Ceil() + 1) &^ 1
	img := image.NewAlpha(image.Rect(0, 0, w, h))
	d := font.Drawer{Dst: img, Src: image.Opaque, Face: face, Dot: fixed.P(1, up)}
	d.DrawString(text)
	return &Mask{w, h, img.Pix}
}

// mark is a square mask of what is inside, in coordinates from -1 to 1.
func mark(name string, size int, inside func(x, y float64) bool) *Mask {
	size = max(size&^1, 2)
	return kept(drawing{what: name, mark: true, size: size}, func() *Mask { return shape(size, inside) })
}

func shape(size int, inside func(x, y float64) bool) *Mask {
	m := &Mask{size, size, make([]byte, size*size)}
	const fine = 4
	for i := range m.A {
		n := 0
		for s := range fine * fine {
			x := (float64(i%size) + (float64(s%fine)+0.5)/fine) / float64(size)
			y := (float64(i/size) + (float64(s/fine)+0.5)/fine) / float64(size)
			if inside(2*x-1, 2*y-1) {
				n++
			}
		}
		m.A[i] = byte(n * 255 / (fine * fine))
	}
	return m
}

// Disc is a filled circle.
func Disc(size int) *Mask {
	return mark("disc", size, func(x, y float64) bool { return x*x+y*y <= 1 })
}

// Microphone is one crossed out.
func Microphone(size int) *Mask {
	return mark("microphone", size, func(x, y float64) bool {
		if math.Abs(x-y) < 0.16 && math.Abs(x+y) < 1.3 {
			return true // the bar
		}
		if math.Abs(x-y) < 0.34 {
			return false // its edge
		}
		body := math.Hypot(x, max(math.Abs(y+0.25)-0.25, 0)) < 0.24
		r := math.Hypot(x, y+0.1)
		cup := y > -0.1 && r > 0.38 && r < 0.52
		foot := math.Abs(x) < 0.07 && y > 0.4 && y < 0.75
		return body || cup || foot
	})
}

// Padlock is an open one: not encrypted.
func Padlock(size int) *Mask {
	return mark("padlock", size, func(x, y float64) bool {
		body := math.Abs(x) < 0.55 && y > -0.05 && y < 0.75
		r := math.Hypot(x+0.3, y+0.35)
		bow := r > 0.28 && r < 0.45 && (y < -0.35 || x > -0.3 && y < 0)
		return body || bow
	})
}
