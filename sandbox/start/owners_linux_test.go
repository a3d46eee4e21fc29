package start

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/4cc2e759/sandbox/sandbox/owner"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// recorded is a sandbox with a writable layer that remembers owners.
func recorded(t *testing.T, args ...string) (s *spec.Spec, upper string) {
	t.Helper()
	dir := t.TempDir()
	upper = filepath.Join(dir, "upper")
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s = base(tree(t), args...)
	s.Seccomp = []string{"container", "root", "owners"}
	s.Root.Upper, s.Root.Work = upper, filepath.Join(dir, "work")
	return s, upper
}

func remembers(t *testing.T, upper string, want map[string]string) {
	t.Helper()
	got, err := owner.Read(upper)
	if err != nil {
		t.Fatal(err)
	}
	for p, o := range want {
		if got[p].String() != o {
			t.Errorf("%s: %v, want %s", p, got[p], o)
		}
		delete(got, p)
	}
	if len(got) > 0 {
		t.Errorf("more is remembered: %v", got)
	}
}

func TestOwnersAreRemembered(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		s, upper := recorded(t, "sh", "-exc", `
			echo x >/opt/a; chown 33:34 /opt/a; mv /opt/a /opt/b; ln /opt/b /opt/c
			mkdir /opt/d; chgrp 5 /opt/d; cd /opt; touch e; chown 7 ../opt/e
			ln -s nowhere l; chown -h 8:9 l; mv l m
			mkfifo f; chown 10:11 f
			touch g; chmod 0 g; chown 1:2 g
			touch h; chown 0:0 h; chown 1:1 h; chown 0:0 h
			chown 1:1 nothing && exit 1
			touch /tmp/t; chown 5:5 /tmp/t /dev/null /proc/self/status
			stat -c %u:%g /opt/b`)
		out, e := run(t, s)
		if e.Status() != 0 {
			t.Fatalf("%v\n%s", e, out)
		}
		want(t, out, "0:0")
		remembers(t, upper, map[string]string{
			"opt/b": "33:34", "opt/c": "33:34", "opt/d": "-1:5", "opt/e": "7:-1", "opt/m": "8:9", "opt/f": "10:11", "opt/g": "1:2", "opt/h": "0:0",
		})
	})
}
