package codec

/*
#include <libyuv/scale.h>
#include <libyuv/convert.h>
*/
import "C"

func octets(b []byte) *C.uint8_t { return (*C.uint8_t)(&b[0]) }

// Scale draws src over all of dst.
func Scale(dst, src *Picture) {
	// A box filter is dear but where each pixel is of whole ones; below half the
	// size, bilinear would leave pixels out.
	mode := C.enum_FilterMode(C.kFilterBilinear)
	if src.W >= 2*dst.W || src.H >= 2*dst.H {
		mode = C.kFilterBox
	}
	C.I420Scale(octets(src.Y), C.int(src.YS), octets(src.U), C.int(src.CS), octets(src.V), C.int(src.CS), C.int(src.W), C.int(src.H),
		octets(dst.Y), C.int(dst.YS), octets(dst.U), C.int(dst.CS), octets(dst.V), C.int(dst.CS), C.int(dst.W), C.int(dst.H), mode)
}

// Copy draws src over the same size of dst.
func Copy(dst, src *Picture) {
	rows(dst.Y, src.Y, dst.YS, src.YS, src.W, src.H)
	w, h := (src.W+1)/2, (src.H+1)/2
	rows(dst.U, src.U, dst.CS, src.CS, w, h)
	rows(dst.V, src.V, dst.CS, src.CS, w, h)
}

func rows(dst, src []byte, ds, ss, w, h int) {
	for y := range h {
		copy(dst[y*ds:y*ds+w], src[y*ss:y*ss+w])
	}
}
