package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"bridgehead/core/compose/wire"
	"bridgehead/core/h264"
	"bridgehead/gateway/mediaworker/codec"
)

const (
	benchSeconds = 10
	benchRate    = 30
	benchBits    = 1_800_000
)

// cameras has ffmpeg make four films of 720p30, of which two are hard to code.
func cameras(t testing.TB) (files []string) {
	for i, src := range []string{"testsrc2=s=1280x720:r=30", "mandelbrot=s=1280x720:r=30", "testsrc2=s=1280x720:r=30,hue=h=120", "mandelbrot=s=1280x720:r=30:start_scale=1"} {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.h264", i))
		cmd := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", src, "-t", fmt.Sprint(benchSeconds), "-pix_fmt", "yuv420p", "-c:v", "libx264",
			"-preset", "veryfast", "-profile:v", "baseline", "-b:v", "1500k", "-maxrate", "2000k", "-bufsize", "2000k",
			"-x264-params", "keyint=60:scenecut=0:slice-max-size=1100:repeat-headers=1", file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
		files = append(files, file)
	}
	return files
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCompose: four films of 720p30 as one picture of 720p30, by the worker
// and by ffmpeg with x264 at its fastest, in processors kept busy. Run with -benchtime 1x.
func BenchmarkCompose(b *testing.B) {
	files := cameras(b)
	b.Run("worker", func(b *testing.B) {
		for b.Loop() {
			cores, pictures := composeFilms(b, files)
			b.ReportMetric(cores, "cores")
			b.ReportMetric(pictures/benchSeconds, "pictures/s")
		}
	})
	b.Run("ffmpeg", func(b *testing.B) {
		for b.Loop() {
			args := []string{"-v", "error"}
			for _, f := range files {
				args = append(args, "-r", "30", "-i", f)
			}
			args = append(args, "-filter_complex", "[0]scale=640:360:flags=bilinear[a];[1]scale=640:360:flags=bilinear[b];[2]scale=640:360:flags=bilinear[c];[3]scale=640:360:flags=bilinear[d];"+
				"[a][b][c][d]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-b:v", fmt.Sprint(benchBits), "-g", "3000", "-f", "null", "-")
			cmd := exec.Command("ffmpeg", args...)
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("ffmpeg: %v\n%s", err, out)
			}
			b.ReportMetric((cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Seconds()/benchSeconds, "cores")
		}
	})
}

// composeFilms plays the films to a worker as they would come.
func composeFilms(b *testing.B, files []string) (cores, pictures float64) {
	s := open(b)
	spec := wire.Scene{ID: 100, Width: 1280, Height: 720, Rate: benchRate, BitsPerSec: benchBits}
	cams := make([]camera, len(files))
	films := make([][][][]byte, len(files))
	for i, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		films[i] = h264.Pictures(h264.Split(data))
		cams[i] = camera{id: uint32(i + 1), codec: wire.H264}
		spec.Cells = append(spec.Cells, wire.Cell{X: i % 2 * 640, Y: i / 2 * 360, W: 640, H: 360, Source: uint32(i + 1), Name: fmt.Sprintf("Camera %d", i)})
	}
	s.set(spec)
	count := make(chan int)
	go func() {
		n := 0
		for {
			k, body, err := wire.Read(s.from, s.buf)
			if err != nil {
				count <- n
				return
			}
			if m, err := wire.ParseMedia(body); err == nil && k == wire.Packet && m.Marker {
				n++
			}
		}
	}()
	used, frame := cpu(), time.NewTicker(time.Second/benchRate)
	defer frame.Stop()
	for n := range benchSeconds * benchRate {
		<-frame.C
		var out []byte
		for i := range cams {
			out = cams[i].send(out, films[i][n%len(films[i])])
		}
		s.say(out)
	}
	used = cpu() - used
	s.conn.Close()
	return used.Seconds() / benchSeconds, float64(<-count)
}

// BenchmarkDelay: from when a picture is sent to the worker to when the composed
// one that shows it is there.
func BenchmarkDelay(b *testing.B) {
	s := open(b)
	s.set(wire.Scene{ID: 100, Width: 1280, Height: 720, Rate: benchRate, BitsPerSec: benchBits, Cells: []wire.Cell{{W: 640, H: 360, Source: 1}}})
	cam := camera{id: 1, codec: wire.H264}
	shown := [][][]byte{colour(b, 1280, 720, red, 1)[0], colour(b, 1280, 720, green, 1)[0]}
	var delays []time.Duration
	for n := range 100 {
		time.Sleep(37 * time.Millisecond) // anywhere between two ticks
		began := time.Now()
		s.say(cam.send(nil, shown[n%2]))
		s.watch(100, func(p *codec.Picture) bool {
			c := at(p, 320, 180)
			return n%2 == 0 && c.V > 190 || n%2 == 1 && c.V < 80
		})
		delays = append(delays, time.Since(began))
	}
	slices.Sort(delays)
	for b.Loop() {
	}
	b.ReportMetric(float64(delays[50].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(delays[95].Microseconds())/1000, "ms-p95")
}
