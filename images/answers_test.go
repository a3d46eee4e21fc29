package images_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

const nasty = "\x1b]0;owned\x07\x1b[2J\r\nsecond line\u202e"

// tame fails for a message that a person should not be shown.
func tame(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	said := err.Error()
	for _, r := range said {
		if r != ' ' && !unicode.IsPrint(r) {
			t.Errorf("%q cannot be printed: %.300q", r, said)
			break
		}
	}
	if len(said) > 1500 {
		t.Errorf("%d bytes: %.300q", len(said), said)
	}
	for _, secret := range []string{"SECRET", password, identity} {
		if strings.Contains(said, secret) {
			t.Errorf("it holds a secret: %.300q", said)
		}
	}
}

// T-76, T-34: whatever a token server says, no token is in a message, and what is quoted is short and one line.
func TestWhatTokenServersSay(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	long := strings.Repeat("x", 50_000)
	for name, c := range map[string]struct {
		first, again func(w http.ResponseWriter) // answers of the token server
		realm        string
		want         string
	}{
		"no token":         {first: body(200, `{"refresh_token":"SECRET"}`), want: "holds no token"},
		"of another kind":  {first: body(200, `{"token":99999999SECRET}`)},
		"of another type":  {first: body(200, `{"token":"t","expires_in":"SECRET"}`)},
		"a number":         {first: body(200, `{"token":12345678901234567890}`), want: "holds no token"},
		"words":            {first: body(200, "SECRET"+nasty)},
		"refused":          {first: body(400, nasty+long), want: "400"},
		"refused in order": {first: body(400, `{"errors":[{"code":"DENIED","message":"too \u001b[2J many"}]}`), want: `DENIED: too \x1b[2J many`},
		"redirected": {first: func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://user:SECRET@127.0.0.1:1/"+long[:1000]+"?sig=SECRET")
			w.WriteHeader(http.StatusFound)
		}},
		"a realm of any kind": {realm: "gopher://" + long},
		"when it is renewed":  {first: body(200, `{"token":"first"}`), again: body(200, `{"refresh_token":"SECRET"}`), want: "holds no token"},
		"refused later":       {first: body(200, `{"token":"first"}`), again: body(403, nasty+long)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			accounts(t, f.host(), basicEntry())
			asked := 0
			f.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					if asked++; asked > 1 && c.again != nil {
						c.again(w)
					} else {
						c.first(w)
					}
					return true
				}
				if c.again != nil && r.Header.Get("Authorization") == "Bearer first" && strings.Contains(r.URL.Path, "/manifests/") {
					return false // the first one is good for documents
				}
				realm := f.URL + "/token"
				if c.realm != "" {
					realm = c.realm
				}
				return challenge(w, "Bearer", realm)
			}
			im, _ := client(t, images.Options{})
			_, _, err := pull(t, im, f.ref("v1"))
			tame(t, err)
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

func body(code int, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code); fmt.Fprint(w, text) }
}

// T-34: refusals of a push, and documents and archives with long or hostile words in them.
func TestWhatRegistriesAndFilesSay(t *testing.T) {
	blobs := registrytest.Blobs{}
	d := blobs.Image(t, app(1000))
	long := nasty + strings.Repeat("y", 50_000)
	for name, answer := range map[string]func(http.ResponseWriter){
		"words": body(400, long), "a page": body(400, "<html>"+long), "in order": body(400, `{"errors":[{"code":"DENIED","message":`+fmt.Sprintf("%q", "quota "+strings.Repeat("z", 9000))+`}]}`),
		"a token server": func(w http.ResponseWriter) { challenge(w, "Bearer", "PLACE/token") },
	} {
		t.Run("push, "+name, func(t *testing.T) {
			im, _ := client(t, images.Options{})
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": d})
			img, _, err := pull(t, im, f.ref("v1"))
			if err != nil {
				t.Fatal(err)
			}
			var to *httptest.Server
			to = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/token":
					fmt.Fprint(w, `{"refresh_token":"SECRET"}`)
				case name == "a token server":
					challenge(w, "Bearer", to.URL+"/token")
				case r.URL.Path == "/v2/":
				default:
					answer(w)
				}
			}))
			defer to.Close()
			o, err := im.Leaving(t.Context(), img, nil, "x")
			if err != nil {
				t.Fatal(err)
			}
			_, err = im.Push(t.Context(), mustRef(t, strings.TrimPrefix(to.URL, "http://")+"/app:v1"), o, nil, func(string) {})
			tame(t, err)
		})
	}
	odd := map[string]string{
		"media type":     fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, long),
		"digest":         fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"digest":%q}]}`, long),
		"key":            fmt.Sprintf(`{%q:1,%q:2}`, "k"+strings.Repeat("y", 9000), "k"+strings.Repeat("y", 9000)),
		"number":         `{"schemaVersion":` + strings.Repeat("9", 9000) + `}`,
		"platforms":      `{"schemaVersion":2,"manifests":[` + strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"digest":%q,"platform":{"os":"\u001b[2J","architecture":"a"}},`, d.Digest), 1)+platforms(d.Digest, 3000), ",") + `]}`,
		"kind of config": fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"\u001b%s"},"layers":[]}`, strings.Repeat("m", 9000)),
	}
	for name, doc := range odd {
		t.Run("document, "+name, func(t *testing.T) {
			blobs := registrytest.Blobs{}
			x := blobs.Put("application/vnd.oci.image.index.v1+json", []byte(jsonQuotes(doc)))
			if strings.Contains(doc, `"config"`) {
				x.MediaType = "application/vnd.oci.image.manifest.v1+json"
			}
			f := newFake(t, blobs, map[string]registrytest.Descriptor{"v1": x})
			im, _ := client(t, images.Options{})
			_, err := resolve(t, im, f.ref("v1"))
			tame(t, err)
		})
	}
	save := func(name string) string {
		return write(t, "save.tar", registrytest.Layer{Files: []registrytest.File{{Name: "manifest.json", Body: fmt.Sprintf(`[{"Config":%q,"Layers":[]}]`, name)}}}.Tar(t))
	}
	im, _ := client(t, images.Options{})
	_, err := resolve(t, im, "docker-archive:"+save(strings.Repeat("c", 50_000)))
	tame(t, err)
	layout := t.TempDir()
	all := map[string]registrytest.Descriptor{"other": blobs.Image(t, app(7))}
	for i := range 500 {
		all[fmt.Sprintf("tag-%d-%s", i, strings.Repeat("t", 50))] = d
	}
	blobs.Layout(t, layout, all)
	_, err = resolve(t, im, "oci:"+layout)
	tame(t, err)

	// A name in a layer.
	bad := registrytest.Layer{Files: []registrytest.File{{Name: strings.Repeat("n/", 1500) + "\x1b[2J"}, {Name: "x/" + strings.Repeat("../", 900)}}, Compression: "none"}
	l := blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{bad}})
	dir := filepath.Join(t.TempDir(), "l")
	os.Mkdir(dir, 0o755)
	blobs.Layout(t, dir, map[string]registrytest.Descriptor{"v1": l})
	im, _ = client(t, images.Options{Limits: layer.Limits{}})
	_, _, err = pull(t, im, "oci:"+dir)
	tame(t, err)
}

// jsonQuotes turns Go's escapes into those of JSON.
func jsonQuotes(s string) string {
	return strings.NewReplacer(`\x1b`, `\u001b`, `\a`, `\u0007`, `\x07`, `\u0007`).Replace(s)
}

func platforms(digest string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"digest":%q,"platform":{"os":"os%d","architecture":"a"}},`, digest, i)
	}
	return b.String()
}
