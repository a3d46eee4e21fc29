package deb

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
)

var testNow = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func newKey(t *testing.T, name string, lifetime time.Duration) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.invalid", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return testNow.Add(-24 * time.Hour) },
		KeyLifetimeSecs: uint32(lifetime / time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func writeKeyring(t *testing.T, armored bool, keys ...*openpgp.Entity) string {
	t.Helper()
	var b bytes.Buffer
	for _, k := range keys {
		if err := k.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "keys.gpg")
	if armored {
		var a bytes.Buffer
		w, err := armor.Encode(&a, openpgp.PublicKeyType, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(b.Bytes())
		w.Close()
		b, name = a, filepath.Join(t.TempDir(), "keys.asc")
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// testArchive is a small archive in memory, served on loopback. Files may be changed at any time.
type testArchive struct {
	t     *testing.T
	url   string
	files map[string][]byte
	asked []string
}

func newArchive(t *testing.T) *testArchive {
	a := &testArchive{t: t, files: map[string][]byte{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked = append(a.asked, r.URL.Path)
		b, ok := a.files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}))
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

// release is what one suite of a test archive says.
type testRelease struct {
	suite, codename, origin string
	date, until             time.Time
	packages                string
	keys                    []*openpgp.Entity
}

func (a *testArchive) publish(r testRelease) {
	a.t.Helper()
	dir := "dists/" + r.suite + "/"
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write([]byte(r.packages))
	w.Close()
	var sums strings.Builder
	for name, b := range map[string][]byte{"main/binary-amd64/Packages": []byte(r.packages), "main/binary-amd64/Packages.gz": gz.Bytes()} {
		fmt.Fprintf(&sums, " %s %d %s\n", sum(b), len(b), name)
		if strings.HasSuffix(name, ".gz") {
			a.files[dir+name] = b
			a.files[dir+"main/binary-amd64/by-hash/SHA256/"+sum(b)] = b
		}
	}
	if r.origin == "" {
		r.origin = "Debian"
	}
	if r.codename == "" {
		r.codename = r.suite
	}
	if r.date.IsZero() {
		r.date = testNow.Add(-time.Hour)
	}
	text := fmt.Sprintf("Origin: %s\nLabel: Test\nSuite: %s\nCodename: %s\nDate: %s\n", r.origin, r.suite, r.codename, r.date.Format(time.RFC1123))
	if !r.until.IsZero() {
		text += "Valid-Until: " + r.until.Format(time.RFC1123) + "\n"
	}
	text += "Acquire-By-Hash: yes\nArchitectures: amd64\nComponents: main\nSHA256:\n" + sums.String()
	a.files[dir+"InRelease"] = clearSign(a.t, text, r.keys...)
}

func clearSign(t *testing.T, text string, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var priv []*packet.PrivateKey
	for _, k := range keys {
		priv = append(priv, k.PrivateKey)
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, priv, &packet.Config{Time: func() time.Time { return testNow.Add(-time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// para is a paragraph of an index for a package that is not there.
func testPara(name, version, rest string) string {
	s := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: pool/%s_%s.deb\nSize: 10\nSHA256: %s\n",
		name, version, name, version, sum([]byte(name+version)))
	if rest != "" {
		s += strings.TrimRight(rest, "\n") + "\n"
	}
	return s + "\n"
}

func newLoader(t *testing.T) *Loader {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := fetch.New(fetch.Options{Budget: time.Millisecond})
	return &Loader{Get: NewGetter(c, st, nil), Root: t.TempDir(), Now: func() time.Time { return testNow }}
}

// loadText makes an archive of an index alone.
func loadText(t *testing.T, name, packages string) *Archive {
	t.Helper()
	x, err := newIndex(name+"/main", "amd64", packages)
	if err != nil {
		t.Fatal(err)
	}
	origin, _, _ := strings.Cut(name, "/")
	return &Archive{Name: name, Origin: origin, indexes: []*index{x}}
}

func load(t *testing.T, l *Loader, s Source) (*Archive, error) {
	t.Helper()
	return l.Load(context.Background(), s, "amd64")
}
