package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/4cc2e759/sandbox/envfile"
)

// key names a built layer by everything that it is made from: the format of built layers, the kind
// of work, the layers below in order, and the pins. Names of two layers are equal exactly when a
// build of them would do the same.
func key(kind string, below []string, parts ...any) (string, error) {
	b, err := json.Marshal(struct {
		Format int
		Kind   string
		Below  []string
		Parts  []any
	}{envfile.LayerFormat, kind, below, parts})
	if err != nil {
		return "", fmt.Errorf("layer key: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// debsOf picks the pins of one layer, in the lock's order.
func debsOf(sec *envfile.Section, layer string) []envfile.DebPin {
	var out []envfile.DebPin
	for _, d := range sec.Debs {
		if d.Layer == layer {
			out = append(out, d)
		}
	}
	return out
}

// wheelsOf are the wheels that are fetched: not those that the base already has.
func wheelsOf(sec *envfile.Section) []envfile.WheelPin {
	var out []envfile.WheelPin
	for _, w := range sec.Wheels {
		if w.From != "base" {
			out = append(out, w)
		}
	}
	return out
}

// debIdentity is what of a .deb matters to a layer: its bytes.
func debIdentity(debs []envfile.DebPin) []string {
	out := make([]string, len(debs))
	for i, d := range debs {
		out[i] = d.Name + " " + d.SHA256
	}
	slices.Sort(out) // dpkg gets them in this order, whatever the order of the lock
	return out
}

func wheelIdentity(wheels []envfile.WheelPin) []string {
	out := make([]string, len(wheels))
	for i, w := range wheels {
		out[i] = w.File + " " + w.SHA256
	}
	slices.Sort(out)
	return out
}
