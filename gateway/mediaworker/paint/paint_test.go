package paint

import "testing"

// Marks are drawn with every picture, thirty times a second in every cell.
func TestMarksAreDrawnOnce(t *testing.T) {
	for name, m := range map[string]func(int) *Mask{"disc": Disc, "microphone": Microphone, "padlock": Padlock} {
		a := m(25)
		if m(25) != a {
			t.Errorf("the %s is drawn anew for each picture", name)
		}
		if b := m(40); b.W != 40 || len(b.A) != 40*40 {
			t.Errorf("a %s of 40 pixels is %d wide", name, b.W)
		}
		if Text(name, 24, 400) == a {
			t.Errorf("somebody named %q is taken for the mark", name)
		}
	}
}

func BenchmarkMark(b *testing.B) {
	for b.Loop() {
		Microphone(25)
	}
}
