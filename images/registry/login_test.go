package registry

import (
	"strings"
	"testing"
)

// The command that is named must work as it is printed: podman speaks to a registry without a certificate that it
// knows only if it is told to.
func TestHowToLogIn(t *testing.T) {
	c := New(Options{Insecure: func(host string) bool { return host == "plain.example:5000" }})
	for _, e := range []struct{ host, scheme, want string }{
		{"docker.io", "", "`docker login docker.io` or `podman login docker.io`"},
		{"registry.example", "https", "`podman login registry.example`"},
		{"plain.example:5000", "https", "`podman login --tls-verify=false plain.example:5000`"},
		{"localhost:5000", "", "`podman login --tls-verify=false localhost:5000`"},
		{"127.0.0.1:5000", "http", "`podman login --tls-verify=false 127.0.0.1:5000`"},
		{"127.0.0.1:5000", "https", "`podman login 127.0.0.1:5000`"},
	} {
		p, err := c.endpoint(e.host, "library/app")
		if err != nil {
			t.Fatal(err)
		}
		p.scheme = e.scheme
		if got := p.howToLogIn(); !strings.Contains(got, e.want) {
			t.Errorf("%s by %q: %q, want %s", e.host, e.scheme, got, e.want)
		}
	}
}
