package images_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// What must not be seen by anybody but the registry and the token server that it names.
const (
	password = "the-password"
	identity = "the-identity-token"
	token    = "the-bearer-token"
	cookie   = "the-cookie"
)

// listener is somebody else's server. It keeps everything that it is told.
type listener struct {
	*fake
	said strings.Builder
	mu   sync.Mutex
}

func newListener(t *testing.T, blobs registrytest.Blobs, tags map[string]registrytest.Descriptor, answer func(l *listener, w http.ResponseWriter, r *http.Request) bool) *listener {
	l := &listener{fake: newFake(t, blobs, tags)}
	l.handle = func(w http.ResponseWriter, r *http.Request) bool {
		b, _ := httputil.DumpRequest(r, true)
		l.mu.Lock()
		l.said.Write(b)
		user, pass, _ := r.BasicAuth()
		l.said.WriteString(user + " " + pass + "\n")
		l.mu.Unlock()
		return answer(l, w, r)
	}
	return l
}

// elsewhere is the address of a server under another name, which is not that of the registry.
func elsewhere(f *fake) string { return strings.Replace(f.URL, "127.0.0.1", "localhost", 1) }

func challenge(w http.ResponseWriter, kind, realm string) bool {
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s realm=%q,service="s",scope="repository:app:pull"`, kind, realm))
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// accounts files credentials for host alone.
func accounts(t *testing.T, host, entry string) {
	t.Helper()
	for _, key := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_AUTH_CONFIG"} {
		t.Setenv(key, "")
	}
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("DOCKER_CONFIG", dir)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{%s}}}`, host, entry), 0o600); err != nil {
		t.Fatal(err)
	}
}

func basicEntry() string {
	return fmt.Sprintf(`"auth":%q`, base64.StdEncoding.EncodeToString([]byte("user:"+password)))
}

func identityEntry() string { return fmt.Sprintf(`"identitytoken":%q`, identity) }

type leakCase struct {
	entry string
	// realm is where the registry says that tokens are; "" = it wants a password itself.
	realm func(own, other string) string
	// own answers requests of the registry that are allowed in; other those of the listener.
	own      func(other string, w http.ResponseWriter, r *http.Request) bool
	other    func(l *listener, w http.ResponseWriter, r *http.Request) bool
	mirror   bool // the listener is a mirror of the registry
	fails    bool
	expected string // what the listener is told all the same
}

func leakCases() map[string]leakCase {
	ownRealm := func(own, _ string) string { return own + "/token" }
	plain := func(string, http.ResponseWriter, *http.Request) bool { return false }
	serve := func(*listener, http.ResponseWriter, *http.Request) bool { return false }
	redirect := func(code int, part string) func(string, http.ResponseWriter, *http.Request) bool {
		return func(other string, w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, part) {
				w.Header().Set("Location", other+r.URL.Path)
				w.WriteHeader(code)
				return true
			}
			return false
		}
	}
	ask := func(kind string) func(l *listener, w http.ResponseWriter, r *http.Request) bool {
		return func(l *listener, w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/token") {
				fmt.Fprint(w, `{"token":"of-the-other"}`)
				return true
			}
			return r.Header.Get("Authorization") == "" && challenge(w, kind, elsewhere(l.fake)+"/token")
		}
	}
	out := map[string]leakCase{
		"the realm is elsewhere":         {basicEntry(), func(_, other string) string { return other + "/token" }, plain, tokenServer, false, false, password},
		"the realm is a file":            {basicEntry(), func(_, _ string) string { return "file:///etc/passwd" }, plain, serve, false, true, ""},
		"the realm is a metadata server": {basicEntry(), func(_, _ string) string { return "http://169.254.169.254/token" }, plain, serve, false, true, ""},
		"the realm is another scheme":    {basicEntry(), func(_, other string) string { return "ftp" + other[4:] + "/token" }, plain, serve, false, true, ""},
		"no realm at all":                {basicEntry(), func(_, _ string) string { return "" }, plain, serve, false, true, ""},
		"a mirror asks for a password":   {basicEntry(), ownRealm, plain, ask("Basic"), true, false, ""},
		"a mirror asks for a token":      {basicEntry(), ownRealm, plain, ask("Bearer"), true, false, ""},
	}
	for name, entry := range map[string]string{"password": basicEntry(), "identity": identityEntry()} {
		for _, code := range []int{302, 307, 308} {
			out[fmt.Sprintf("layers are elsewhere %d %s", code, name)] = leakCase{entry, ownRealm, redirect(code, "/blobs/"), serve, false, false, ""}
			out[fmt.Sprintf("the realm redirects %d %s", code, name)] = leakCase{entry, ownRealm, redirect(code, "/token"), tokenServer, false, name == "identity" && code != 302, ""}
		}
		out["layers are elsewhere, where a token is wanted "+name] = leakCase{entry, ownRealm, redirect(307, "/blobs/"), ask("Bearer"), false, false, ""}
		out["layers are elsewhere, where a password is wanted "+name] = leakCase{entry, ownRealm, redirect(307, "/blobs/"), ask("Basic"), false, true, ""}
		out["documents are elsewhere "+name] = leakCase{entry, ownRealm, redirect(307, "/manifests/"), serve, false, false, ""}
	}
	out["layers are elsewhere, basic"] = leakCase{basicEntry(), nil, redirect(307, "/blobs/"), serve, false, false, ""}
	return out
}

func tokenServer(_ *listener, w http.ResponseWriter, r *http.Request) bool {
	if strings.HasSuffix(r.URL.Path, "/token") {
		fmt.Fprintf(w, `{"token":%q,"access_token":%q}`, token, token)
		return true
	}
	return false
}

// T-36, T-38, T-75, T-76: passwords, tokens and cookies stay with the registry that they are filed under and the
// token server that it names, wherever redirects, realms and mirrors lead, and are in no message.
func TestCredentialsStayWhereTheyBelong(t *testing.T) {
	for name, c := range leakCases() {
		t.Run(name, func(t *testing.T) {
			blobs := registrytest.Blobs{}
			d := blobs.Image(t, app(1000))
			tags := map[string]registrytest.Descriptor{"v1": d}
			own, other := newFake(t, blobs, tags), newListener(t, blobs, tags, c.other)
			own.handle = func(w http.ResponseWriter, r *http.Request) bool { return c.serveOwn(own, elsewhere(other.fake), w, r) }
			accounts(t, own.host(), c.entry)
			o := images.Options{Fetch: fetch.Options{Stall: 5 * time.Second, Budget: 2 * time.Second}}
			if c.mirror {
				o.Mirrors = map[string][]string{own.host(): {strings.TrimPrefix(elsewhere(other.fake), "http://")}}
			}
			im, _ := client(t, o)
			_, _, err := pull(t, im, own.ref("v1"))
			if (err != nil) != c.fails {
				t.Errorf("pull: %v", err)
			}
			said := other.said.String()
			for _, secret := range []string{password, identity, token, cookie} {
				if strings.Contains(said, secret) && secret != c.expected {
					t.Errorf("%s was told to another server:\n%s", secret, said)
				}
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%s is in the message: %v", secret, err)
				}
			}
			if c.expected != "" && !strings.Contains(said, c.expected) {
				t.Errorf("the token server that the registry names was not told %s", c.expected)
			}
		})
	}
}

func (c leakCase) serveOwn(own *fake, other string, w http.ResponseWriter, r *http.Request) bool {
	http.SetCookie(w, &http.Cookie{Name: "session", Value: cookie, Path: "/"})
	if r.Header.Get("Cookie") != "" {
		io.WriteString(w, "a cookie came back")
		return true
	}
	if strings.HasSuffix(r.URL.Path, "/token") {
		return c.own(other, w, r) || tokenServer(nil, w, r)
	}
	_, pass, _ := r.BasicAuth()
	switch {
	case c.realm == nil && pass != password:
		return challenge(w, "Basic", "r")
	case c.realm != nil && r.Header.Get("Authorization") != "Bearer "+token:
		return challenge(w, "Bearer", c.realm(own.URL, other))
	}
	return c.own(other, w, r)
}
