package codec

/*
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <dav1d/dav1d.h>

typedef struct { Dav1dContext *c; Dav1dPicture p; int held; } av1;

static av1 *av1_open(unsigned most) {
	av1 *a = calloc(1, sizeof *a);
	Dav1dSettings s;
	dav1d_default_settings(&s);
	s.n_threads = 1;
	s.max_frame_delay = 1;
	s.frame_size_limit = most;
	s.logger.callback = NULL;
	if (a != NULL && dav1d_open(&a->c, &s) != 0) {
		free(a);
		return NULL;
	}
	return a;
}

static void av1_release(av1 *a) {
	if (a->held)
		dav1d_picture_unref(&a->p);
	a->held = 0;
}

// 1: a picture, 0: none yet, -1: an error.
static int av1_decode(av1 *a, const unsigned char *b, size_t n) {
	Dav1dData d;
	unsigned char *to = dav1d_data_create(&d, n);
	if (to == NULL)
		return -1;
	memcpy(to, b, n);
	av1_release(a);
	// Each round takes data or gives a picture; a stream with which neither
	// happens is given up.
	for (int i = 0; d.sz > 0; i++) {
		int r = dav1d_send_data(a->c, &d);
		if (i > 64 || (r < 0 && r != DAV1D_ERR(EAGAIN))) {
			dav1d_data_unref(&d);
			return -1;
		}
		Dav1dPicture p;
		memset(&p, 0, sizeof p);
		if (dav1d_get_picture(a->c, &p) == 0) {
			av1_release(a);
			a->p = p;
			a->held = 1;
		}
	}
	return a->held && a->p.p.bpc == 8 && a->p.p.layout == DAV1D_PIXEL_LAYOUT_I420;
}

static void av1_close(av1 *a) {
	av1_release(a);
	dav1d_close(&a->c);
	free(a);
}
*/
import "C"

type av1Decoder struct{ a *C.av1 }

func newAV1() (Decoder, error) {
	a := C.av1_open(maxPixels)
	if a == nil {
		return nil, ErrCodec
	}
	return &av1Decoder{a}, nil
}

// Decode takes a temporal unit in the low-overhead format (AV1, section 5.2).
func (d *av1Decoder) Decode(b []byte) (*Picture, error) {
	if len(b) == 0 {
		return nil, ErrFrame
	}
	switch C.av1_decode(d.a, (*C.uchar)(&b[0]), C.size_t(len(b))) {
	case 0:
		return nil, nil
	case 1:
		p := &d.a.p
		plane := func(i int) *C.uchar { return (*C.uchar)(p.data[i]) }
		return view(plane(0), plane(1), plane(2), int(p.p.w), int(p.p.h), int(p.stride[0]), int(p.stride[1]))
	}
	return nil, ErrFrame
}

func (d *av1Decoder) Close() { C.av1_close(d.a) }
