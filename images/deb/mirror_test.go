package deb

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// The real archives, through the apt sources of this machine: all releases that they serve, signed
// and whole, and the first package of one of them.
func TestRealArchives(t *testing.T) {
	testenv.Need(t, "mirror")
	host, err := HostSources("/")
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &Loader{Get: NewGetter(fetch.New(fetch.Options{AllowHTTP: true}), st, nil)}
	for _, suite := range []string{"bookworm", "trixie"} {
		as, err := l.Suite(context.Background(), suite, SuiteOptions{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		if len(as) != 3 || as[0].Name != "Debian/"+suite || as[2].Name != "Debian/"+suite+"-security" {
			t.Errorf("%s: archives %q", suite, archiveNames(as))
		}
		if err := l.Indexes(context.Background(), as, "amd64"); err != nil {
			t.Fatal(err)
		}
		pp, err := Closure(as, []string{"hello"}, ClosureOptions{Base: true})
		if err != nil {
			t.Fatal(err)
		}
		var pins []Pin
		for _, want := range []string{"apt", "bash", "debian-archive-keyring", "dpkg", "hello", "libc6", "perl-base", "tar"} {
			i := slices.IndexFunc(pp, func(p *Package) bool { return p.Name == want })
			if i < 0 {
				t.Fatalf("%s: no %s among %d packages", suite, want, len(pp))
			}
			if want == "hello" {
				pins = append(pins, pp[i].Pin)
			}
		}
		if len(pp) < 60 || len(pp) > 150 {
			t.Errorf("%s: %d packages", suite, len(pp))
		}
		sources := []Source{as[0].Source, as[1].Source, as[2].Source}
		err = l.Fetch(context.Background(), pins, sources, "amd64", 0, func(i int, f *os.File) error {
			defer f.Close()
			control, entries, err := ReadContents(f, Limits{})
			if err != nil {
				return err
			}
			c, err := ParseControl(control)
			if err != nil || c.Name != "hello" || c.Version != pins[i].Version {
				t.Errorf("control %+v, %v", c, err)
			}
			if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == "usr/bin/hello" }) {
				t.Errorf("no program in it: %+v", entries)
			}
			if _, err := f.Seek(0, 0); err != nil {
				return err
			}
			dir, err := os.Open(t.TempDir())
			if err != nil {
				return err
			}
			defer dir.Close()
			if _, err := Unpack(f, dir, UnpackOptions{}); err != nil {
				return err
			}
			b, err := os.ReadFile(dir.Name() + "/usr/bin/hello")
			if err != nil || !bytes.HasPrefix(b, []byte("\x7fELF")) {
				t.Errorf("hello: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
