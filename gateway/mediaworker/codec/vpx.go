package codec

/*
#include <stdlib.h>
#include <string.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>

static int vpx_open(vpx_codec_ctx_t *c, int vp9) {
	vpx_codec_dec_cfg_t cfg = {.threads = 1};
	return vpx_codec_dec_init(c, vp9 ? vpx_codec_vp9_dx() : vpx_codec_vp8_dx(), &cfg, 0);
}

// The last picture of the frame; NULL if there is none or it has an odd format.
static vpx_image_t *vpx_picture(vpx_codec_ctx_t *c) {
	vpx_codec_iter_t at = NULL;
	vpx_image_t *img = NULL, *next;
	while ((next = vpx_codec_get_frame(c, &at)) != NULL)
		img = next;
	return img != NULL && img->fmt == VPX_IMG_FMT_I420 ? img : NULL;
}

static int vpx_peek(int vp9, const unsigned char *b, unsigned n, unsigned *w, unsigned *h) {
	vpx_codec_stream_info_t si = {.sz = sizeof si};
	if (vpx_codec_peek_stream_info(vp9 ? vpx_codec_vp9_dx() : vpx_codec_vp8_dx(), b, n, &si) != VPX_CODEC_OK || !si.is_kf)
		return 0;
	*w = si.w; *h = si.h;
	return 1;
}
*/
import "C"

import "unsafe"

type vpxDecoder struct {
	ctx *C.vpx_codec_ctx_t
	vp9 C.int
}

func newVPX(vp9 bool) (Decoder, error) {
	d := &vpxDecoder{ctx: (*C.vpx_codec_ctx_t)(C.calloc(1, C.sizeof_vpx_codec_ctx_t))}
	if vp9 {
		d.vp9 = 1
	}
	if C.vpx_open(d.ctx, d.vp9) != 0 {
		C.free(unsafe.Pointer(d.ctx))
		return nil, ErrCodec
	}
	return d, nil
}

func (d *vpxDecoder) Decode(b []byte) (*Picture, error) {
	if len(b) == 0 {
		return nil, ErrFrame
	}
	var w, h C.uint
	if C.vpx_peek(d.vp9, (*C.uchar)(&b[0]), C.uint(len(b)), &w, &h) == 1 && uint64(w)*uint64(h) > maxPixels {
		return nil, ErrSize
	}
	if C.vpx_codec_decode(d.ctx, (*C.uint8_t)(&b[0]), C.uint(len(b)), nil, 0) != C.VPX_CODEC_OK {
		return nil, ErrFrame
	}
	img := C.vpx_picture(d.ctx)
	if img == nil {
		return nil, nil
	}
	return view(img.planes[0], img.planes[1], img.planes[2], int(img.d_w), int(img.d_h), int(img.stride[0]), int(img.stride[1]))
}

func (d *vpxDecoder) Close() {
	C.vpx_codec_destroy(d.ctx)
	C.free(unsafe.Pointer(d.ctx))
}
