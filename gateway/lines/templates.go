package lines

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"bridgehead/gateway/store"
)

//go:embed templates/*.json
var files embed.FS

// Template is what is known of a carrier's trunks, from its own documents.
type Template struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Docs  string `json:"docs,omitempty" doc:"where the carrier says so"`
	Hints string `json:"hints,omitempty" doc:"what else to do, at the carrier's and here"`
	// Asks are the settings that only the customer knows.
	Asks  []string            `json:"asks"`
	Trunk store.TrunkSettings `json:"trunk"`
}

// Templates lists them by name.
func Templates() (list []Template) {
	entries, err := files.ReadDir("templates")
	if err != nil {
		panic(err) // they are built in
	}
	for _, e := range entries {
		t, err := template(e.Name())
		if err != nil {
			panic(err)
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Template) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return list
}

func template(file string) (t Template, err error) {
	text, err := files.ReadFile(path.Join("templates", file))
	if err != nil {
		return t, err
	}
	t.ID = strings.TrimSuffix(file, ".json")
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, fmt.Errorf("template %s: %w", file, err)
	}
	if t.Trunk.Source == nil {
		t.Trunk.Source = []string{}
	}
	return t, nil
}

// Apply gives a new trunk the settings of a template.
func Apply(id string, t *store.Trunk) error {
	for _, x := range Templates() {
		if x.ID == id {
			was := t.TrunkSettings
			t.TrunkSettings = x.Trunk
			t.Weight, t.CallsPerSecond = max(x.Trunk.Weight, was.Weight), max(x.Trunk.CallsPerSecond, was.CallsPerSecond)
			return nil
		}
	}
	return fmt.Errorf("there is no template %q", id)
}
