// Package web is the browser client and the operators' console: a single-page
// application, built from src beside it and embedded, so that neither building
// the gateway nor running it needs Node.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files is the built client, with index.html at its root. Files under assets/
// are named by their content and never change.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // dist is a valid path
	}
	return files
}
