package oci

import (
	"fmt"
	"slices"
	"strings"
)

// Platform is an operating system and processor.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// ParsePlatform reads "linux/amd64" or "linux/arm/v7".
func ParsePlatform(s string) (Platform, error) {
	f := strings.Split(s, "/")
	if len(f) < 2 || len(f) > 3 || slices.Contains(f, "") {
		return Platform{}, fmt.Errorf("not a platform: %q (want os/architecture, as linux/amd64)", s)
	}
	p := Platform{OS: f[0], Architecture: f[1]}
	if len(f) == 3 {
		p.Variant = f[2]
	}
	return p, nil
}

// PlatformError says that an image is only for others.
type PlatformError struct {
	Want string
	Have []string // sorted
}

func (e *PlatformError) Error() string {
	have := "none that can run"
	if len(e.Have) > 0 {
		have = shown(e.Have[0])
		for _, h := range e.Have[1:min(len(e.Have), 20)] {
			have += ", " + shown(h)
		}
		if more := len(e.Have) - 20; more > 0 {
			have += fmt.Sprintf(" and %d more", more)
		}
	}
	return fmt.Sprintf("no image for %s, only for: %s", e.Want, have)
}

// variants lists what a processor of p runs, best first; unnamed variants are the usual ones.
func (p Platform) variants() []string {
	chain := map[string][]string{
		"amd64": {"v4", "v3", "v2", "v1", ""},
		"arm64": {"v9", "v8", ""},
		"arm":   {"v8", "v7", "v6", "v5", ""},
	}[p.Architecture]
	want := p.Variant
	if want == "" {
		want = map[string]string{"amd64": "v1", "arm64": "v8", "arm": "v7"}[p.Architecture]
	}
	if i := slices.Index(chain, want); i >= 0 {
		chain = chain[i:]
		if p.Architecture != "arm" && p.Variant == "" { // then "" and the first variant mean the same
			slices.Reverse(chain)
		}
		return chain
	}
	return []string{p.Variant, ""}
}

// runs tells whether p can run what is made for q, and how well: 0 is best, -1 not at all.
func (p Platform) runs(q Platform) int {
	if p.OS != q.OS || p.Architecture != q.Architecture {
		return -1
	}
	return slices.Index(p.variants(), q.Variant)
}

// attestation tells the entries of an index that describe other entries: they run nowhere.
func (d Descriptor) attestation() bool {
	_, ref := d.Annotations["vnd.docker.reference.type"]
	return ref || d.Platform != nil && d.Platform.OS == "unknown"
}

// choose returns the entries of an index to look at, best first: those for p, then those that do
// not say for whom they are. have is what there is.
func choose(entries []Descriptor, p Platform) (good []Descriptor, have []string) {
	type ranked struct {
		Descriptor
		rank int
	}
	var list []ranked
	for _, d := range entries {
		switch {
		case d.attestation():
		case d.Platform == nil || d.Platform.OS == "" && d.Platform.Architecture == "":
			list = append(list, ranked{d, 1 << 10})
		default:
			have = append(have, d.Platform.String())
			if r := p.runs(*d.Platform); r >= 0 {
				list = append(list, ranked{d, r})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return a.rank - b.rank })
	for _, r := range list {
		good = append(good, r.Descriptor)
	}
	slices.Sort(have)
	return good, slices.Compact(have)
}
