package sandbox

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
)

// What the specification asks of every document, and each pin with its hash and the name that scanners look up.
func TestBillOfMaterials(t *testing.T) {
	sum := func(c string) string { return strings.Repeat(c, 64) }
	lock := &envfile.Lock{Epoch: 1_700_000_000, Sections: map[string]*envfile.Section{"linux-amd64": {
		Config: envfile.Config{Name: "app"},
		Image:  envfile.ImagePin{Ref: "docker.io/team/base:1", Manifest: "sha256:" + sum("a")},
		Debs: []envfile.DebPin{
			{Name: "libstdc++6", Version: "1:12.2.0-14+deb12u1", Arch: "amd64", Archive: "Debian/bookworm/main", Path: "pool/main/g/x.deb", SHA256: sum("b"), Layer: "apt"},
			{Name: "libstdc--6", Version: "1", Arch: "all", Archive: "Ubuntu/noble/universe", SHA256: sum("c"), Layer: "apt"},
		},
		Wheels: []envfile.WheelPin{
			{Name: "Ruamel.Yaml", Version: "0.18", File: "ruamel.yaml-0.18-py3-none-any.whl", SHA256: sum("d"), Index: "default"},
			{Name: "torch", Version: "2.5.1+cu121", From: "base"},
		},
	}}}
	b, err := billOfMaterials(lock, "linux-amd64")
	if err != nil {
		t.Fatal(err)
	}
	var d spdx
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.Version != "SPDX-2.3" || d.License != "CC0-1.0" || d.ID != "SPDXRef-DOCUMENT" || d.Creation.Created != "2023-11-14T22:13:20Z" || !strings.HasPrefix(d.Namespace, "https://") {
		t.Errorf("document: %+v", d)
	}
	valid := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	var ids, purls, sums []string
	for _, p := range d.Packages {
		if !valid.MatchString(p.ID) || slices.Contains(ids, p.ID) {
			t.Errorf("id %q", p.ID)
		}
		ids = append(ids, p.ID)
		for _, r := range p.Refs {
			purls = append(purls, r.Locator)
		}
		for _, s := range p.Sums {
			sums = append(sums, s.Algorithm+" "+s.Value[:1])
		}
	}
	if want := []string{
		"pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm", "pkg:deb/ubuntu/libstdc--6@1?arch=all&distro=noble",
		"pkg:pypi/ruamel-yaml@0.18", "pkg:pypi/torch@2.5.1%2Bcu121",
	}; !slices.Equal(purls, want) {
		t.Errorf("purls\n%q, want\n%q", purls, want)
	}
	if want := []string{"SHA256 a", "SHA256 b", "SHA256 c", "SHA256 d"}; !slices.Equal(sums, want) {
		t.Errorf("sums %q", sums)
	}
	for _, r := range d.Relationships {
		if r.From != d.ID && !slices.Contains(ids, r.From) || !slices.Contains(ids, r.To) {
			t.Errorf("relation of what is not there: %+v", r)
		}
	}
	if len(d.Relationships) != len(d.Packages) {
		t.Errorf("%d packages, %d relations", len(d.Packages), len(d.Relationships))
	}
	again, err := billOfMaterials(lock, "linux-amd64")
	if err != nil || string(again) != string(b) {
		t.Errorf("the same lock gives another list: %v", err)
	}
}
