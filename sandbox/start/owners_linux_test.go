package start

import (
	"os"
	"os/exec"
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

// What the layers below have is copied up by a chown to root, too: it may be somebody else's there.
func TestOwnersOfLowerFiles(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		s, upper := recorded(t, "sh", "-exc", `chown 0:0 /opt/low; touch /opt/new; chown 0:0 /opt/new; chown -h 0:0 /bin`)
		if out, e := run(t, s); e.Status() != 0 {
			t.Fatalf("%v\n%s", e, out)
		}
		remembers(t, upper, map[string]string{"opt/low": "0:0"})
		if err := owner.Strip(upper); err != nil {
			t.Fatal(err)
		}
		remembers(t, upper, nil)
	})
}

// A folder that is the root itself remembers as a writable layer does.
func TestOwnersInAFolder(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		dir := tree(t)
		s := base("", "sh", "-exc", `mkdir /opt/d; chown 5:6 /opt/d /opt/low; ln -s d /opt/l; chown -h 7 /opt/l; chown 8 /`)
		s.Seccomp = []string{"container", "root", "nosync", "owners"}
		s.Root = spec.Root{Bind: dir}
		if out, e := run(t, s); e.Status() != 0 {
			t.Fatalf("%v\n%s", e, out)
		}
		remembers(t, dir, map[string]string{"": "8:-1", "opt/d": "5:6", "opt/low": "5:6", "opt/l": "7:-1"})
	})
}

// The kernel lets one program listen. Where there is one already, owners are lost with a word, or it is an error.
func TestOwnersWhereSomebodyListens(t *testing.T) {
	everyUser(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, d := range []string{"tree", "upper", "work"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		makeTree(filepath.Join(dir, "tree"))
		cmd := exec.Command(testBin())
		cmd.Env = append(os.Environ(), roleEnv+"=listened:"+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want(t, string(out), "0 <nil>\nseccomp filter container+root+owners: device or resource busy")
		remembers(t, filepath.Join(dir, "upper"), nil)
	})
}
