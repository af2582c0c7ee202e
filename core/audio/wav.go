package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// WAV is a sound file: RIFF with 16-bit PCM (or µ-law, when read), one or two
// channels, 8 to 48 kHz.
type WAV struct {
	Rate     int     // Hz
	Channels int     // 1 or 2
	PCM      []int16 // interleaved

	muLaw bool
}

// ErrWAV is what a file that is no such WAV gives.
var ErrWAV = errors.New("audio: not a WAV file of 16-bit PCM or µ-law")

// MaxWAV bounds the sound that ReadWAV takes from one file, in bytes: half an
// hour at 48 kHz.
const MaxWAV = 48000 * 2 * 1800

// ReadWAV reads a file. Chunks that it does not know are passed over; sound
// that is cut short or larger than MaxWAV ends where it ends.
func ReadWAV(r io.Reader) (*WAV, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWAV, err)
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, ErrWAV
	}
	w := &WAV{}
	for range 64 { // chunks; real files have two to five
		if _, err := io.ReadFull(r, head[:8]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWAV, err)
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		var err error
		switch string(head[:4]) {
		case "fmt ":
			err = w.readFormat(r, size)
		case "data":
			return w, w.readData(r, size)
		default:
			_, err = io.CopyN(io.Discard, r, size+size&1)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWAV, err)
		}
	}
	return nil, ErrWAV
}

func (w *WAV) readFormat(r io.Reader, size int64) error {
	var f [16]byte
	if size < int64(len(f)) || size > 1024 {
		return errors.New("odd format chunk")
	}
	if _, err := io.ReadFull(r, f[:]); err != nil {
		return err
	}
	tag, bits := binary.LittleEndian.Uint16(f[:]), binary.LittleEndian.Uint16(f[14:])
	w.Channels = int(binary.LittleEndian.Uint16(f[2:]))
	w.Rate = int(binary.LittleEndian.Uint32(f[4:]))
	const pcm, muLaw, extensible = 1, 7, 0xfffe
	w.muLaw = tag == muLaw && bits == 8
	switch {
	case !w.muLaw && (tag != pcm && tag != extensible || bits != 16):
		return errors.New("neither 16-bit PCM nor µ-law")
	case w.Channels < 1 || w.Channels > 2:
		return errors.New("neither mono nor stereo")
	case w.Rate < 8000 || w.Rate > 48000:
		return errors.New("rate outside 8 to 48 kHz")
	}
	_, err := io.CopyN(io.Discard, r, size+size&1-int64(len(f)))
	return err
}

func (w *WAV) readData(r io.Reader, size int64) error {
	if w.Rate == 0 {
		return ErrWAV // data before its format
	}
	b, err := io.ReadAll(io.LimitReader(r, min(size, MaxWAV)))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWAV, err)
	}
	if w.muLaw {
		w.PCM = make([]int16, len(b)/w.Channels*w.Channels)
		for i := range w.PCM {
			w.PCM[i] = ExpandMu(b[i])
		}
		return nil
	}
	w.PCM = make([]int16, len(b)/(2*w.Channels)*w.Channels)
	for i := range w.PCM {
		w.PCM[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return nil
}

// ExpandMu is the sample that a µ-law code stands for (ITU-T G.711 table 2).
func ExpandMu(b byte) int16 {
	b = ^b
	m := int16((int(b&0xf)<<1+33)<<(b>>4&7)-33) << 2
	if b&0x80 != 0 {
		return -m
	}
	return m
}

// Mono is the sound in one channel: the mean of two. It may share w.PCM.
func (w *WAV) Mono() []int16 {
	if w.Channels != 2 {
		return w.PCM
	}
	pcm := make([]int16, len(w.PCM)/2)
	for i := range pcm {
		pcm[i] = int16((int32(w.PCM[2*i]) + int32(w.PCM[2*i+1])) / 2)
	}
	return pcm
}

// WriteTo implements io.WriterTo.
func (w *WAV) WriteTo(to io.Writer) (int64, error) {
	le, size := binary.LittleEndian, uint32(2*len(w.PCM))
	b := make([]byte, 0, 44+size)
	b = append(b, "RIFF"...)
	b = le.AppendUint32(b, 36+size)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, uint16(w.Channels))
	b = le.AppendUint32(b, uint32(w.Rate))
	b = le.AppendUint32(b, uint32(w.Rate*w.Channels*2))
	b = le.AppendUint16(b, uint16(w.Channels*2))
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = le.AppendUint32(b, size)
	for _, s := range w.PCM {
		b = le.AppendUint16(b, uint16(s))
	}
	n, err := to.Write(b)
	return int64(n), err
}
