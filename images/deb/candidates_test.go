package deb

import (
	"strings"
	"testing"
)

// Files that are pinned are looked for where their archive was verified before, without asking.
func TestCandidates(t *testing.T) {
	host := []Source{
		{URI: "http://tools.example/apt", Suite: "any", File: "/etc/apt/sources.list.d/a.list"},
		{URI: "http://m.example/debian", Suite: "bookworm", File: "/etc/apt/sources.list.d/debian.sources"},
		{URI: "http://m.example/debian", Suite: "bookworm-updates", File: "/etc/apt/sources.list.d/debian.sources"},
		{URI: "http://m.example/debian-security", Suite: "bookworm-security", File: "/etc/apt/sources.list.d/debian.sources"},
		{URI: "http://flat.example", Suite: "./"},
		{URI: "http://other.example", Suite: "x", Origin: "Somebody"},
	}
	known := make([]Source, len(host))
	for i, h := range host {
		if known[i] = h; strings.HasPrefix(h.URI, "http://m.example") {
			known[i].Origin = "Debian"
		}
	}
	late := Source{URI: "http://s.example/debian", Suite: "any", Origin: "Debian", Late: true}
	for _, c := range []struct {
		name, archive string
		o             SuiteOptions
		want          string
	}{
		{"main", "Debian/trixie/main", SuiteOptions{Host: host}, "m.example/debian tools.example/apt m.example/debian-security s.example/debian"},
		{"updates", "Debian/trixie-updates/main", SuiteOptions{Host: host}, "m.example/debian tools.example/apt m.example/debian-security s.example/debian"},
		{"security", "Debian/trixie-security/main", SuiteOptions{Host: host}, "m.example/debian-security m.example/debian tools.example/apt s.example/debian"},
		{"known", "Debian/trixie-security/main", SuiteOptions{Host: known}, "m.example/debian-security m.example/debian tools.example/apt s.example/debian"},
		{"mirror", "Debian/trixie/main", SuiteOptions{Mirror: "http://u.example/debian/"}, "u.example/debian u.example/debian-security s.example/debian"},
		{"mirror", "Debian/trixie-security/main", SuiteOptions{Mirror: "http://u.example/debian/"}, "u.example/debian-security u.example/debian s.example/debian"},
	} {
		pin := Pin{Name: "a", Archive: c.archive, Path: "pool/a.deb"}
		var got []string
		for _, u := range URLs(pin, append((&Loader{}).Candidates("trixie", c.o), late)) {
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(u, "http://"), "/pool/a.deb"))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s of %s:\ngot  %s\nwant %s", c.name, c.archive, strings.Join(got, " "), c.want)
		}
	}
	if got := (&Loader{}).Candidates("trixie", SuiteOptions{}); len(got) != 0 {
		t.Errorf("from nowhere: %v", got)
	}
}
