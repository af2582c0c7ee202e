package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	Title string `json:"title" doc:"of the start page; empty: the product's own words"`
	Text  string `json:"text" doc:"below it"`
	Image string `json:"image" doc:"path of the picture that those see who wait; empty: none"`
}

// The settings that hold it, and its picture: every guest's page asks for the
// one, and few for the other.
const (
	brandKey   = "brand"
	pictureKey = "brand picture"
)

type brandPatch struct {
	Title   *string `json:"title,omitempty" maxLength:"80"`
	Text    *string `json:"text,omitempty" maxLength:"400"`
	Image   []byte  `json:"image,omitempty" maxLength:"700000" doc:"PNG or JPEG, in Base64"`
	NoImage bool    `json:"remove_image,omitempty" doc:"have no picture any more"`
}

const maxSide = 4096 // pixels of the picture

// brands is the operators' house on the pages (P67).
func (s *server) brands(api huma.API) {
	const tag = "Settings"
	huma.Register(api, operation("GET", "/brand", "brand", "What the start page says, and the picture in the lobby", "", tag), func(ctx context.Context, _ *nothing) (*body[brand], error) {
		return answer(s.brand(ctx))
	})
	o := operation("GET", "/brand/image", "brand-image", "The picture that those see who wait", "", tag)
	file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	o.Responses = map[string]*huma.Response{"200": {Description: "the picture", Content: map[string]*huma.MediaType{"image/png": file, "image/jpeg": file}}}
	huma.Register(api, o, s.brandImage)
}

func (s *server) brand(ctx context.Context) (b brand, err error) {
	return b, s.Store.Setting(ctx, brandKey, &b)
}

func (s *server) brandImage(ctx context.Context, _ *nothing) (*file, error) {
	var picture []byte
	if err := s.Store.Setting(ctx, pictureKey, &picture); err != nil {
		return nil, fail(err)
	}
	if len(picture) == 0 {
		return nil, fail(store.ErrNotFound)
	}
	return &file{ContentType: http.DetectContentType(picture), CacheControl: "public, max-age=3600", Body: picture}, nil
}

// rebrand changes the brand.
func (s *server) rebrand(ctx context.Context, p brandPatch) error {
	return s.Store.Atomically(ctx, func(ctx context.Context) error {
		b, err := s.brand(ctx)
		if err != nil {
			return err
		}
		set(&b.Title, p.Title)
		set(&b.Text, p.Text)
		if p.NoImage {
			b.Image = ""
			err = s.Store.Set(ctx, pictureKey, nil)
		}
		if len(p.Image) > 0 {
			if err := checkPicture(p.Image); err != nil {
				return err
			}
			sum := sha256.Sum256(p.Image)
			b.Image = "/api/v1/brand/image?" + hex.EncodeToString(sum[:8]) // another picture has another address
			err = s.Store.Set(ctx, pictureKey, p.Image)
		}
		return errors.Join(err, s.Store.Set(ctx, brandKey, b))
	})
}

func checkPicture(b []byte) error {
	size, kind, err := image.DecodeConfig(bytes.NewReader(b))
	switch {
	case err != nil || kind != "png" && kind != "jpeg":
		return huma.Error422UnprocessableEntity("The picture is neither PNG nor JPEG.")
	case size.Width > maxSide || size.Height > maxSide:
		return huma.Error422UnprocessableEntity("The picture is larger than 4096 pixels.")
	}
	return nil
}
