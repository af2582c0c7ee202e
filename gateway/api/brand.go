package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"image"
	_ "image/jpeg" // the kinds that are taken
	_ "image/png"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

// brand is how the operators' own house shows on the pages: what the start page
// says, and the picture that those see who wait.
type brand struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	Image []byte `json:"image"` // PNG or JPEG
}

// brandKey is the setting that holds it.
const brandKey = "brand"

type brandView struct {
	Title string `json:"title" doc:"of the start page; empty: the product's own words"`
	Text  string `json:"text" doc:"below it"`
	Image string `json:"image" doc:"path of the picture that those see who wait; empty: none"`
}

type brandPatch struct {
	Title *string `json:"title,omitempty" maxLength:"80"`
	Text  *string `json:"text,omitempty" maxLength:"400"`
	Image []byte  `json:"image,omitempty" maxLength:"700000" doc:"PNG or JPEG, in Base64"`
	Bare  bool    `json:"remove_image,omitempty" doc:"have no picture any more"`
}

const maxSide = 4096 // pixels of the picture

// brands is the operators' house on the pages (P67).
func (s *server) brands(api huma.API) {
	const tag = "Settings"
	huma.Register(api, operation("GET", "/brand", "brand", "What the start page says, and the picture in the lobby", "", tag), func(ctx context.Context, _ *nothing) (*body[brandView], error) {
		v, err := s.brandSeen(ctx)
		return answer(v, err)
	})
	o := operation("GET", "/brand/image", "brand-image", "The picture that those see who wait", "", tag)
	file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	o.Responses = map[string]*huma.Response{"200": {Description: "the picture", Content: map[string]*huma.MediaType{"image/png": file, "image/jpeg": file}}}
	huma.Register(api, o, s.brandImage)
}

func (s *server) brandSeen(ctx context.Context) (v brandView, err error) {
	var b brand
	if err := s.Store.Setting(ctx, brandKey, &b); err != nil {
		return v, err
	}
	v = brandView{Title: b.Title, Text: b.Text}
	if len(b.Image) > 0 {
		sum := sha256.Sum256(b.Image)
		v.Image = "/api/v1/brand/image?" + hex.EncodeToString(sum[:8]) // another picture has another address
	}
	return v, nil
}

func (s *server) brandImage(ctx context.Context, _ *nothing) (*invitationOutput, error) {
	var b brand
	if err := s.Store.Setting(ctx, brandKey, &b); err != nil {
		return nil, fail(err)
	}
	if len(b.Image) == 0 {
		return nil, fail(store.ErrNotFound)
	}
	return &invitationOutput{ContentType: http.DetectContentType(b.Image), CacheControl: "public, max-age=3600", Body: b.Image}, nil
}

// rebrand changes the brand.
func (s *server) rebrand(ctx context.Context, p brandPatch) error {
	var b brand
	if err := s.Store.Setting(ctx, brandKey, &b); err != nil {
		return err
	}
	set(&b.Title, p.Title)
	set(&b.Text, p.Text)
	if p.Bare {
		b.Image = nil
	}
	if len(p.Image) > 0 {
		size, kind, err := image.DecodeConfig(bytes.NewReader(p.Image))
		if err != nil || kind != "png" && kind != "jpeg" {
			return huma.Error422UnprocessableEntity("The picture is neither PNG nor JPEG.")
		}
		if size.Width > maxSide || size.Height > maxSide {
			return huma.Error422UnprocessableEntity("The picture is larger than 4096 pixels.")
		}
		b.Image = p.Image
	}
	return s.Store.Set(ctx, brandKey, b)
}
