package load

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The pictures that rooms send, made by ffmpeg: constrained baseline, 720p30 at
// 1.5 Mbit/s, a keyframe a second; and those that change from dark to bright and
// back, at a keyframe, three times a second.
const (
	clipSeconds  = 6
	flashEvery   = 10 // pictures
	clipBits     = 1_500_000
	composedBits = 1_800_000 // compose.Qualities
)

var clipCoding = []string{"-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "baseline", "-level", "3.1", "-pix_fmt", "yuv420p",
	"-b:v", strconv.Itoa(clipBits), "-maxrate", strconv.Itoa(clipBits), "-bufsize", strconv.Itoa(clipBits / 4)}

// ffmpeg runs it and returns what it writes to its standard output, and the CPU
// that it took.
func ffmpeg(ctx context.Context, args ...string) (out []byte, cpu time.Duration, err error) {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-hide_banner", "-nostdin", "-loglevel", "error", "-y"}, args...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err = cmd.Output()
	if err != nil {
		text := complaints.Bytes()
		return nil, 0, fmt.Errorf("ffmpeg: %w: %s", err, text[max(0, len(text)-500):])
	}
	return out, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// makeClip writes the n-th moving pattern into a file, each in colours of its own.
func makeClip(ctx context.Context, dir string, n int, flash bool) (file string, c *clip, err error) {
	file = filepath.Join(dir, fmt.Sprintf("%d-%t.h264", n, flash))
	filter, keys := fmt.Sprintf("hue=h=%d", 90*n), 30
	if flash {
		filter, keys = fmt.Sprintf("eq=eval=frame:brightness='if(lt(mod(n,%d),%d),-0.6,0.6)'", 2*flashEvery, flashEvery), flashEvery
	}
	args := []string{"-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30", "-t", strconv.Itoa(clipSeconds), "-vf", filter}
	args = append(append(args, clipCoding...), "-x264-params", fmt.Sprintf("keyint=%d:min-keyint=%d:scenecut=0:ref=1:repeat-headers=1", keys, keys),
		"-bsf:v", "filter_units=remove_types=6", file)
	if _, _, err = ffmpeg(ctx, args...); err != nil {
		return "", nil, err
	}
	stream, err := os.ReadFile(file)
	if err == nil {
		c, err = newClip(stream)
	}
	return file, c, err
}

// ffmpegEncoder is the one that composes as the media worker does, or else the
// cheapest way of x264.
func ffmpegEncoder(ctx context.Context) (name string, args []string) {
	list, _ := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-encoders").Output()
	if strings.Contains(string(list), "libopenh264") {
		return "libopenh264", []string{"-c:v", "libopenh264", "-profile:v", "constrained_baseline"}
	}
	return "libx264 ultrafast", []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline"}
}

// ffmpegComposes has ffmpeg make of four streams what the media worker makes, in
// real time, and returns its CPU a second.
func ffmpegComposes(ctx context.Context, files []string, coding []string, seconds int) (float64, error) {
	var args, cells []string
	for i, f := range files {
		args = append(args, "-re", "-stream_loop", "-1", "-framerate", "30", "-f", "h264", "-i", f)
		cells = append(cells, fmt.Sprintf("[%d:v]scale=640:360[c%d]", i, i))
	}
	graph := strings.Join(cells, ";") + ";[c0][c1][c2][c3]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0[p]"
	args = append(args, "-filter_complex", graph, "-map", "[p]", "-r", "30", "-t", strconv.Itoa(seconds))
	args = append(append(args, coding...), "-pix_fmt", "yuv420p", "-b:v", strconv.Itoa(composedBits), "-f", "h264", "/dev/null")
	_, cpu, err := ffmpeg(ctx, args...)
	return cpu.Seconds() / float64(seconds), err
}

// cellLight is how bright the middle of one of four cells is in each picture of a
// stream, 0 to 255.
func cellLight(ctx context.Context, file string, cell int) ([]byte, error) {
	filter := fmt.Sprintf("crop=320:180:%d:%d,scale=1:1:flags=area,format=gray", 160+cell%2*640, 90+cell/2*360)
	light, _, err := ffmpeg(ctx, "-f", "h264", "-i", file, "-vsync", "passthrough", "-vf", filter, "-f", "rawvideo", "-")
	return light, err
}

// changes are the delays from each time that a camera sent another brightness, to
// the first picture that shows it, from a time on.
func changes(light []byte, shown, sent []time.Duration, from time.Duration) (delays []time.Duration) {
	if len(light) == 0 {
		return nil
	}
	middle := (int(slices.Min(light)) + int(slices.Max(light))) / 2
	for i := 1; i < min(len(light), len(shown)); i++ {
		if shown[i] < from || (int(light[i]) > middle) == (int(light[i-1]) > middle) {
			continue
		}
		at, _ := slices.BinarySearch(sent, shown[i])
		if at > 0 {
			delays = append(delays, shown[i]-sent[at-1])
		}
	}
	return delays
}
