package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes files below a new folder: "path" -> content, "path/" -> folder, "path" -> "->target".
func makeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch to, link := strings.CutPrefix(content, "->"); {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(p, 0o755)
		case link:
			err = os.Symlink(to, p)
		default:
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func listTree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		name, _ := filepath.Rel(root, p)
		switch {
		case d.IsDir():
			out[name+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			out[name] = "->" + to
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			out[name] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTidy(t *testing.T) {
	root := makeTree(t, map[string]string{
		"etc/passwd": "kept", "etc/passwd-": "x", "etc/.pwd.lock": "", "etc/machine-id": "abc", "etc/aliases.db": "x",
		"etc/shadow":           "root:*:19675:0:99999:7:::\nnew:!:99999::::::\nodd",
		"etc/ssh/ssh_host_rsa": "key", "etc/ssh/sshd_config": "kept",
		"etc/ssl/certs/ssl-cert-snakeoil.pem": "x", "etc/ssl/certs/1234.0": "->ssl-cert-snakeoil.pem", "etc/ssl/certs/5678.0": "->real.pem",
		"var/log/dpkg.log": "x", "var/log/wtmp": "records", "var/log/empty.log": "", "var/log/nginx/": "", "var/log/apt/term.log": "x",
		"var/cache/apt/pkgcache.bin": "x", "var/cache/apt/archives/partial/": "", "var/cache/ldconfig/aux-cache": "x", "var/cache/man/cs/index.db": "x",
		"var/cache/debconf/config.dat": "kept", "var/cache/debconf/config.dat-old": "x",
		"var/lib/dpkg/status": "kept", "var/lib/dpkg/status-old": "x", "var/lib/dpkg/lock": "", "var/lib/dpkg/triggers/Lock": "", "var/lib/dpkg/info/a-old": "kept",
		"var/lib/apt/lists/x_InRelease": "x", "var/lib/apt/lists/partial/": "", "var/lib/dbus/machine-id": "x", "var/lib/mysql/ibdata": "x",
		"usr/lib/python3/__pycache__/a.pyc": "x", "usr/lib/python3/a.py": "kept", "run/lock/": "", "run/sshd/": "", "run/utmp": "x", "tmp/x/y": "x",
	})
	notes, err := tidyDebs(root, 1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"etc/passwd": "kept", "etc/machine-id": "", "etc/ssh/sshd_config": "kept", "etc/ssl/certs/5678.0": "->real.pem",
		"etc/shadow":   "root:*:19675:0:99999:7:::\nnew:!:19675::::::\nodd",
		"var/log/wtmp": "", "var/log/empty.log": "", "var/cache/debconf/config.dat": "kept",
		"var/lib/dpkg/status": "kept", "var/lib/dpkg/info/a-old": "kept", "usr/lib/python3/a.py": "kept",
	}
	got := listTree(t, root)
	for _, dir := range []string{"var/log/nginx/", "var/log/apt/", "var/cache/apt/archives/partial/", "var/lib/apt/lists/partial/", "run/lock/", "var/lib/mysql/", "tmp/"} {
		if _, ok := got[dir]; !ok {
			t.Errorf("folder %s is gone", dir)
		}
	}
	for name, content := range got {
		if strings.HasSuffix(name, "/") {
			if strings.Contains(name, "__pycache__") || name == "run/sshd/" || name == "tmp/x/" {
				t.Errorf("folder %s is left", name)
			}
			continue
		}
		if w, ok := want[name]; !ok || w != content {
			t.Errorf("%s: %q, want %q, %v", name, content, w, ok)
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
	if len(notes) != 3 {
		t.Errorf("notes: %q", notes)
	}
}

// A package may make any of the folders a link to elsewhere: what is there must not change.
func TestTidyStaysInside(t *testing.T) {
	outside := makeTree(t, map[string]string{"x": "good", "machine-id": "good", "__pycache__/x": "good", "status-old": "good", "ssh_host_a": "good", "shadow": "a:b:99999:", "lists/x": "good"})
	before := listTree(t, outside)
	for _, dir := range []string{"var/log", "var/cache/apt", "var/lib/apt", "var/lib/dpkg", "var/lib/mysql", "etc", "etc/ssh", "run", "tmp", "usr", "usr/lib"} {
		for _, to := range []string{outside, "../../../../../../../../../../../.." + outside} {
			root := makeTree(t, map[string]string{dir: "->" + to})
			if _, err := tidyDebs(root, 1_700_000_000); err != nil {
				t.Logf("%s: %v", dir, err) // refusing is fine
			}
		}
	}
	for _, file := range []string{"etc/shadow", "etc/machine-id", "var/log/wtmp"} {
		root := makeTree(t, map[string]string{file: "->" + filepath.Join(outside, "shadow")})
		if _, err := tidyDebs(root, 1_700_000_000); err != nil {
			t.Logf("%s: %v", file, err)
		}
	}
	after := listTree(t, outside)
	if len(after) != len(before) {
		t.Errorf("before %v, after %v", before, after)
	}
	for n := range before {
		if before[n] != after[n] {
			t.Errorf("%s changed to %q", n, after[n])
		}
	}
}
