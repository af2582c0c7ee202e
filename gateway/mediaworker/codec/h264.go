package codec

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -l:libopenh264.a -l:libvpx.a -l:libyuv.a -l:libstdc++.a -ldav1d -lm -lpthread
#include <stdlib.h>
#include <string.h>
#include <wels/codec_api.h>

static ISVCDecoder *h264_decoder(void) {
	ISVCDecoder *d = NULL;
	if (WelsCreateDecoder(&d) != 0 || d == NULL)
		return NULL;
	int quiet = WELS_LOG_QUIET;
	(*d)->SetOption(d, DECODER_OPTION_TRACE_LEVEL, &quiet);
	SDecodingParam p;
	memset(&p, 0, sizeof p);
	p.uiTargetDqLayer = 255;
	p.eEcActiveIdc = ERROR_CON_DISABLE;
	p.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
	if ((*d)->Initialize(d, &p) != 0) {
		WelsDestroyDecoder(d);
		return NULL;
	}
	return d;
}

typedef struct { unsigned char *y, *u, *v; int w, h, ys, cs; } image;

// 1: a picture, 0: none yet, -1: an error.
static int h264_decode(ISVCDecoder *d, const unsigned char *b, int n, image *out) {
	unsigned char *planes[3] = {0};
	SBufferInfo info;
	memset(&info, 0, sizeof info);
	if ((*d)->DecodeFrameNoDelay(d, b, n, planes, &info) != dsErrorFree)
		return -1;
	if (info.iBufferStatus != 1 || planes[0] == NULL)
		return 0;
	SSysMEMBuffer *m = &info.UsrData.sSystemBuffer;
	out->y = planes[0]; out->u = planes[1]; out->v = planes[2];
	out->w = m->iWidth; out->h = m->iHeight; out->ys = m->iStride[0]; out->cs = m->iStride[1];
	return 1;
}

static void h264_end_decoder(ISVCDecoder *d) {
	(*d)->Uninitialize(d);
	WelsDestroyDecoder(d);
}

static ISVCEncoder *h264_encoder(int w, int h, int rate, int bits, int slice) {
	ISVCEncoder *e = NULL;
	if (WelsCreateSVCEncoder(&e) != 0 || e == NULL)
		return NULL;
	int quiet = WELS_LOG_QUIET;
	(*e)->SetOption(e, ENCODER_OPTION_TRACE_LEVEL, &quiet);
	SEncParamExt p;
	(*e)->GetDefaultParams(e, &p);
	p.iUsageType = CAMERA_VIDEO_REAL_TIME;
	p.iPicWidth = w; p.iPicHeight = h;
	p.fMaxFrameRate = rate;
	p.iTargetBitrate = bits; p.iMaxBitrate = bits + bits / 2;
	p.iRCMode = RC_BITRATE_MODE;
	p.iComplexityMode = LOW_COMPLEXITY;
	p.bEnableFrameSkip = 0;
	p.iMaxQp = 44; p.iMinQp = 16;
	p.uiIntraPeriod = 0;
	p.iNumRefFrame = 1;
	p.eSpsPpsIdStrategy = CONSTANT_ID;
	p.iEntropyCodingModeFlag = 0;
	p.iMultipleThreadIdc = 1;
	p.bEnableSceneChangeDetect = 0;
	p.bEnableBackgroundDetection = 1;
	p.bEnableAdaptiveQuant = 0;
	p.bEnableDenoise = 0;
	p.bEnableLongTermReference = 0;
	p.uiMaxNalSize = slice;
	p.iSpatialLayerNum = 1;
	SSpatialLayerConfig *l = &p.sSpatialLayers[0];
	l->iVideoWidth = w; l->iVideoHeight = h; l->fFrameRate = rate;
	l->iSpatialBitrate = p.iTargetBitrate; l->iMaxSpatialBitrate = p.iMaxBitrate;
	l->uiProfileIdc = PRO_BASELINE;
	l->sSliceArgument.uiSliceMode = SM_SIZELIMITED_SLICE;
	l->sSliceArgument.uiSliceSizeConstraint = slice;
	if ((*e)->InitializeExt(e, &p) != 0) {
		WelsDestroySVCEncoder(e);
		return NULL;
	}
	return e;
}

// The octets written to out, a byte stream (Annex B); -1: an error.
static int h264_encode(ISVCEncoder *e, unsigned char *y, unsigned char *u, unsigned char *v, int w, int h, int ys, int cs,
		int key, long long ms, unsigned char *out, int room) {
	SSourcePicture pic;
	SFrameBSInfo info;
	memset(&pic, 0, sizeof pic);
	memset(&info, 0, sizeof info);
	pic.iColorFormat = videoFormatI420;
	pic.iPicWidth = w; pic.iPicHeight = h;
	pic.iStride[0] = ys; pic.iStride[1] = pic.iStride[2] = cs;
	pic.pData[0] = y; pic.pData[1] = u; pic.pData[2] = v;
	pic.uiTimeStamp = ms;
	if (key)
		(*e)->ForceIntraFrame(e, 1);
	if ((*e)->EncodeFrame(e, &pic, &info) != cmResultSuccess)
		return -1;
	int n = 0;
	for (int i = 0; i < info.iLayerNum; i++) {
		SLayerBSInfo *l = &info.sLayerInfo[i];
		int size = 0;
		for (int k = 0; k < l->iNalCount; k++)
			size += l->pNalLengthInByte[k];
		if (n + size > room)
			return -1;
		memcpy(out + n, l->pBsBuf, size);
		n += size;
	}
	return n;
}

static void h264_end_encoder(ISVCEncoder *e) {
	(*e)->Uninitialize(e);
	WelsDestroySVCEncoder(e);
}
*/
import "C"

import (
	"time"
	"unsafe"

	"bridgehead/core/h264"
)

type h264Decoder struct{ d *C.ISVCDecoder }

func newH264() (Decoder, error) {
	d := C.h264_decoder()
	if d == nil {
		return nil, ErrCodec
	}
	return &h264Decoder{d}, nil
}

// Decode takes the NAL units of one picture as a byte stream (Annex B).
func (d *h264Decoder) Decode(b []byte) (*Picture, error) {
	for _, n := range h264.Split(b) {
		if n[0]&0x1f != h264.SPS {
			continue
		}
		if p, err := h264.ParseSPS(n); err != nil || p.Width*p.Height > maxPixels {
			return nil, ErrSize
		}
	}
	if len(b) == 0 {
		return nil, ErrFrame
	}
	var out C.image
	switch C.h264_decode(d.d, (*C.uchar)(&b[0]), C.int(len(b)), &out) {
	case 0:
		return nil, nil
	case 1:
		return view(out.y, out.u, out.v, int(out.w), int(out.h), int(out.ys), int(out.cs))
	}
	return nil, ErrFrame
}

func (d *h264Decoder) Close() { C.h264_end_decoder(d.d) }

// view makes a Picture of memory that belongs to a library.
func view(y, u, v *C.uchar, w, h, ys, cs int) (*Picture, error) {
	if w < 2 || h < 2 || w*h > maxPixels || ys < w || cs < (w+1)/2 || y == nil || u == nil || v == nil {
		return nil, ErrSize
	}
	c := (h + 1) / 2 * cs
	octets := func(p *C.uchar, n int) []byte { return unsafe.Slice((*byte)(p), n) }
	return &Picture{W: w, H: h, YS: ys, CS: cs, Y: octets(y, h*ys), U: octets(u, c-cs+(w+1)/2), V: octets(v, c-cs+(w+1)/2)}, nil
}

// MaxSlice is how long a NAL unit of the encoder is at most, in octets: what a
// receiver of packetization mode 0 takes in one packet.
const MaxSlice = 1100

// Encoder makes H.264, constrained baseline.
type Encoder struct {
	e   *C.ISVCEncoder
	buf []byte
}

// NewEncoder makes one for pictures of w by h at rate a second and so many bit/s.
func NewEncoder(w, h, rate, bits int) (*Encoder, error) {
	// The encoder's own bound on a slice counts neither header nor emulation
	// prevention.
	e := C.h264_encoder(C.int(w), C.int(h), C.int(rate), C.int(bits), MaxSlice-100)
	if e == nil {
		return nil, ErrCodec
	}
	return &Encoder{e, make([]byte, w*h*3/2+65536)}, nil
}

// Encode returns the NAL units of a picture, valid until the next; a keyframe
// begins with its parameter sets. At is the time of the picture.
func (e *Encoder) Encode(p *Picture, key bool, at time.Duration) ([][]byte, error) {
	k := C.int(0)
	if key {
		k = 1
	}
	n := C.h264_encode(e.e, (*C.uchar)(&p.Y[0]), (*C.uchar)(&p.U[0]), (*C.uchar)(&p.V[0]), C.int(p.W), C.int(p.H), C.int(p.YS), C.int(p.CS),
		k, C.longlong(at.Milliseconds()), (*C.uchar)(&e.buf[0]), C.int(len(e.buf)))
	if n < 0 {
		return nil, ErrFrame
	}
	return h264.Split(e.buf[:n]), nil
}

// Close frees it.
func (e *Encoder) Close() { C.h264_end_encoder(e.e) }
