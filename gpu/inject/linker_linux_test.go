package inject

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// apply does in a folder what a start does with mounts: files are copied where they would be bound.
func apply(t *testing.T, root string, out *Injection) {
	t.Helper()
	put := func(name string, b []byte) {
		t.Helper()
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range out.Binds {
		if !strings.HasPrefix(b.Target, Dir) {
			continue
		}
		content, err := os.ReadFile(b.Source)
		if err != nil {
			t.Fatal(err)
		}
		put(b.Target, content)
	}
	for _, l := range out.Links {
		if err := os.Symlink(l.To, filepath.Join(root, l.Target)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range out.Lower {
		put(name, content)
	}
}

// small is an image with what a program of this machine needs, and with ldconfig.
func small(t *testing.T) *tree {
	t.Helper()
	tr := &tree{t, testenv.PublicDir(t)}
	for _, name := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/bin/cat", "/sbin/ldconfig"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tr.write(name, string(b))
	}
	tr.write("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
	tr.write("etc/ld.so.conf.d/x.conf", "/lib/x86_64-linux-gnu\n")
	return tr
}

// In a root of its own, the linker finds libcuda by both names where the plan says, for every user; an
// image without a cache, one with its own, and after an ldconfig inside.
func TestTheLinkerFindsTheDriver(t *testing.T) {
	testenv.Need(t, "userns", "users")
	m := gputest.New(t, "h100x8")
	for name, prepare := range map[string]func(tr *tree){
		"no cache": func(*tree) {},
		"own cache": func(tr *tree) {
			if out, err := exec.Command("/sbin/ldconfig", "-r", tr.dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		},
		"own libcuda": func(tr *tree) {
			tr.write("lib/x86_64-linux-gnu/libcuda.so.1", string(gputest.ELF{SONAME: "libcuda.so.1"}.Bytes()))
			if out, err := exec.Command("/sbin/ldconfig", "-r", tr.dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := small(t)
			prepare(tr)
			in := inputs(t, m, 1)
			in.Image = tr.image()
			out := plan(t, in)
			apply(t, tr.dir, out)
			find := func(when, user string) {
				for _, lib := range []string{"libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1", "libnvidia-gpucomp.so." + m.Driver} {
					got, err := testenv.As(t, user).Command("unshare", "-Ur", "-R", tr.dir, "/lib64/ld-linux-x86-64.so.2", "--preload", lib, "--list", "/bin/cat").CombinedOutput()
					if want := lib + " => " + Lib64 + "/" + lib; err != nil || !strings.Contains(string(got), want) && !strings.Contains(string(got), Lib64+"/"+lib) {
						t.Errorf("%s, as %s: %s: %v: %s", when, user, lib, err, got)
					}
				}
			}
			for _, user := range []string{"", testenv.WithSubuid, testenv.WithoutSubuid} {
				find("as planned", user)
			}
			if got, err := exec.Command("/sbin/ldconfig", "-r", tr.dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			find("after ldconfig", testenv.WithoutSubuid)
		})
	}
}

// What a plan reads, it leaves as it was.
func TestNothingIsWritten(t *testing.T) {
	m := gputest.New(t, "laptop-ubuntu2404")
	tr := debian(t)
	list := func(dir string) (out []string) {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err == nil {
				out = append(out, p+" "+fi.ModTime().String())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := strings.Join(append(list(m.Dir), list(tr.dir)...), "\n")
	in := inputs(t, m, 1)
	in.Image = tr.image()
	plan(t, in)
	if after := strings.Join(append(list(m.Dir), list(tr.dir)...), "\n"); after != before {
		t.Error(diff(before, after))
	}
}
