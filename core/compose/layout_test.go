package compose

import "testing"

func TestCellsStayInThePictureAndApart(t *testing.T) {
	for _, q := range Qualities {
		for _, l := range append([]Layout{Single}, Layouts...) {
			if l == Switched {
				continue
			}
			for people := range 20 {
				cells := l.Cells(q.Width, q.Height, people)
				if want := min(max(people, 1), l.Size()); len(cells) != want {
					t.Fatalf("%s has %d cells for %d, want %d", l, len(cells), people, want)
				}
				for i, c := range cells {
					if c.X < 0 || c.Y < 0 || c.W < 16 || c.H < 8 || c.X+c.W > q.Width || c.Y+c.H > q.Height || (c.X|c.Y|c.W|c.H)&1 != 0 {
						t.Fatalf("%s at %dx%d: cell %d is %+v", l, q.Width, q.Height, i, c)
					}
					for _, o := range cells[:i] {
						if c.X < o.X+o.W && o.X < c.X+c.W && c.Y < o.Y+o.H && o.Y < c.Y+c.H {
							t.Fatalf("%s at %dx%d: %+v and %+v overlap", l, q.Width, q.Height, o, c)
						}
					}
					if l.Large() && i > 0 && c.W >= cells[0].W {
						t.Fatalf("%s: cell %d is as large as the first", l, i)
					}
				}
			}
		}
	}
}

func TestCellsOf720p(t *testing.T) {
	for l, want := range map[Layout][]Rect{
		Grid2:    {{0, 0, 640, 360}, {640, 0, 640, 360}, {0, 360, 640, 360}},
		Speaker:  {{128, 0, 1024, 576}, {384, 576, 256, 144}, {640, 576, 256, 144}},
		Content:  {{0, 72, 1024, 576}, {1024, 216, 256, 144}, {1024, 360, 256, 144}},
		OneSeven: {{0, 0, 960, 540}, {960, 0, 320, 180}, {960, 180, 320, 180}},
		Single:   {{0, 0, 1280, 720}},
	} {
		got := l.Cells(1280, 720, 3)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: cell %d is %v, want %v", l, i, got[i], want[i])
			}
		}
	}
}

func TestNextStepsThroughAll(t *testing.T) {
	seen := map[Layout]bool{}
	l := Speaker
	for range Layouts {
		seen[l] = true
		if l = l.Next(); !l.Valid() {
			t.Fatalf("%q cannot be chosen", l)
		}
	}
	if len(seen) != len(Layouts) || l != Speaker {
		t.Errorf("saw %v, then %s", seen, l)
	}
}

func TestQualitiesFitLevels(t *testing.T) {
	for i, level := range []struct{ fs, mbps, best int }{{3600, 108000, 0}, {1620, 40500, 1}, {1620, 20250, 2}, {396, 6000, 3}, {99, 1485, 4}} {
		best := 0
		for !Qualities[best].Fits(level.fs, level.mbps, 0) {
			best++
		}
		if best != level.best {
			t.Errorf("level %d gets quality %d, want %d", i, best, level.best)
		}
	}
	if Qualities[0].Fits(3600, 108000, 768_000) {
		t.Error("768 kbit/s take 720p")
	}
}
