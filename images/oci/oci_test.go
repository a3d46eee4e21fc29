package oci

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/store"
)

const d = `"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`

func TestUnambiguous(t *testing.T) {
	for in, ok := range map[string]bool{
		`{}`: true, `{"a":1,"b":{"a":[{"a":1},{"a":2}]}}`: true, `{"a":"a","b":"a"}`: true,
		`{"labels":{"A":"1","a":"2"}}`: true, `{"config":{"Labels":{"A":"1","a":"2"}}}`: true, `{"annotations":{"x":"1","X":"2"}}`: true,
		`{"config":{"Volumes":{"/Data":{},"/data":{}},"ExposedPorts":{"80/TCP":{},"80/tcp":{}}}}`: true,
		`{"config":{"Volumes":{"/data":{},"/data":{}}}}`:                                          false, `{"Volumes":{"/a":{"X":1,"x":2}}}`: false, `{"config":{"Volumes":{}},"Config":{}}`: false,
		`{"a":1,"a":2}`: false, `{"a":1,"A":2}`: false, `{"x":[{"a":1,"a":1}]}`: false, `{"labels":{"a":"1","a":"2"}}`: false, `{"":1,"":2}`: false,
		``: true, `{`: false, `{"a":}`: false, `{"a":1}}`: false,
		strings.Repeat(`[`, 65) + strings.Repeat(`]`, 65): false, strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64): true,
	} {
		if err := unambiguous([]byte(in)); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestParseDocument(t *testing.T) {
	config := `"config":{"mediaType":"` + TypeConfig + `","digest":` + d + `,"size":1}`
	for in, ok := range map[string]bool{
		`{"schemaVersion":2,"layers":[],` + config + `}`:                                                true,
		`{"schemaVersion":2,"mediaType":"` + TypeManifest + `","layers":[],` + config + `}`:             true,
		`{"schemaVersion":2,"mediaType":"` + TypeIndex + `","layers":[],` + config + `}`:                false,
		`{"schemaVersion":2,"mediaType":"application/x","layers":[],` + config + `}`:                    false,
		`{"schemaVersion":3,"layers":[],` + config + `}`:                                                false,
		`{"schemaVersion":2,"layers":[]}`:                                                               false,
		`{"schemaVersion":2,"manifests":[]}`:                                                            true,
		`{"schemaVersion":2,"manifests":[],"layers":[]}`:                                                false,
		`{"schemaVersion":2,"manifests":[{"digest":` + d + `,"size":-1}]}`:                              false,
		`{"schemaVersion":2,"manifests":[{"digest":"sha256:0","size":1}]}`:                              false,
		`{"schemaVersion":2,"layers":[{"digest":` + d + `,"size":9223372036854775807}],` + config + `}`: false,
		`{"schemaVersion":1,"name":"x","fsLayers":[]}`:                                                  false,
		`null`: false, `5`: false, ``: false,
	} {
		if _, err := ParseDocument([]byte(in), ""); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
	in := []byte(`{"schemaVersion":2,"layers":[],` + config + `}`)
	for mediaType, ok := range map[string]bool{TypeManifest: true, TypeDocker: true, TypeIndex: false, "application/json": true, TypeManifest + "; charset=utf-8": true} {
		if _, err := ParseDocument(in, mediaType); (err == nil) != ok {
			t.Errorf("served as %s: %v", mediaType, err)
		}
	}
}

func TestChoose(t *testing.T) {
	list := func(names ...string) (out []Descriptor) {
		for _, n := range names {
			p, err := ParsePlatform(n)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Descriptor{Platform: &p})
		}
		return out
	}
	for _, c := range []struct {
		want string
		have []Descriptor
		best string
	}{
		{"linux/amd64", list("linux/arm64", "linux/amd64"), "linux/amd64"},
		{"linux/amd64", list("linux/amd64/v3", "linux/amd64/v1"), "linux/amd64/v1"},
		{"linux/amd64", list("linux/amd64/v3"), ""},
		{"linux/amd64/v3", list("linux/amd64", "linux/amd64/v2", "linux/amd64/v4"), "linux/amd64/v2"},
		{"linux/arm64", list("linux/arm64/v8", "linux/arm/v7"), "linux/arm64/v8"},
		{"linux/arm/v7", list("linux/arm/v5", "linux/arm/v6", "linux/arm/v8"), "linux/arm/v6"},
		{"linux/arm", list("linux/arm/v5", "linux/arm/v7"), "linux/arm/v7"},
		{"linux/riscv64", list("linux/riscv64"), "linux/riscv64"},
		{"linux/amd64", list("windows/amd64"), ""},
	} {
		p, _ := ParsePlatform(c.want)
		good, have := choose(c.have, p)
		got := ""
		if len(good) > 0 {
			got = good[0].Platform.String()
		}
		if got != c.best || len(have) == 0 || !slices.IsSorted(have) {
			t.Errorf("%s of %v: got %q, want %q", c.want, have, got, c.best)
		}
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"layers":[],"config":{"mediaType":"` + TypeConfig + `","digest":` + d + `,"size":1}}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":` + d + `,"size":1,"platform":{"os":"linux"}}]}`))
	f.Add([]byte(`{"os":"linux","rootfs":{"type":"layers","diff_ids":[` + d + `]}}`))
	config := `"config":{"mediaType":"` + TypeConfig + `","digest":` + d + `,"size":1}`
	for _, s := range []string{
		``, `null`, `{`, `{"a":1,"A":2}`, strings.Repeat(`[`, 70), strings.Repeat(`{"a":`, 70),
		`{"schemaVersion":1,"name":"x","fsLayers":[]}`, `{"schemaVersion":2,"manifests":[],"layers":[]}`, `{"schemaVersion":2,"mediaType":"` + TypeIndex + `","layers":[],` + config + `}`,
		`{"schemaVersion":2,"layers":[{"digest":` + d + `,"size":-1},{"digest":"sha256:../x","size":9223372036854775807}],` + config + `}`,
		`{"schemaVersion":2,"manifests":[{"digest":` + d + `,"size":1,"annotations":{"vnd.docker.reference.type":"attestation-manifest"},"platform":{"os":"unknown","architecture":"unknown"}},{"digest":` + d + `,"size":1,"platform":{"os":"linux","architecture":"arm","variant":"v7"}}]}`,
		`{"architecture":"amd64","os":"linux","config":{"Env":["NOVALUE","=x",""],"Volumes":{"/v":{}},"Labels":{"A":"1","a":"2"},"User":null},"created":null,"rootfs":{"type":"layers","diff_ids":null}}`,
		`{"created":"yesterday","rootfs":{"type":"layers"}}`, `{"os":"linux","rootfs":{"type":"layers","diff_ids":["sha512:0"]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if doc, err := ParseDocument(b, ""); err == nil {
			for _, l := range append(doc.Layers, doc.Manifests...) {
				if l.Digest.Hex() == "" || l.Size < 0 {
					t.Errorf("accepted %+v", l)
				}
			}
			if doc.IsIndex() {
				choose(doc.Manifests, Platform{OS: "linux", Architecture: "amd64"})
			}
		}
		if _, diffs, err := ParseConfig(b); err == nil {
			for _, d := range diffs {
				if d.Hex() == "" {
					t.Errorf("accepted %q", d)
				}
			}
		}
	})
}

// T-68: an index of indexes of indexes cannot make us ask for ever, however many documents there are.
func TestDocumentsAreCounted(t *testing.T) {
	asked := 0
	index := func() First {
		asked++
		var b strings.Builder
		for i := range 64 {
			fmt.Fprintf(&b, `,{"mediaType":%q,"digest":%q,"size":1}`, TypeIndex, store.DigestOf(fmt.Append(nil, asked, i)))
		}
		return First{Bytes: fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, TypeIndex, b.String()[1:]), Digest: store.DigestOf(fmt.Append(nil, asked))}
	}
	_, err := Resolve(context.Background(), index(), "linux/amd64", func(context.Context, Descriptor, int64) ([]byte, error) {
		return index().Bytes, nil
	})
	if err == nil || !strings.Contains(err.Error(), "more than 200 documents") || asked > 300 {
		t.Errorf("%v after %d documents", err, asked)
	}
}
