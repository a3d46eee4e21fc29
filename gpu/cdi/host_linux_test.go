package cdi

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/gpu"
)

// host is a machine below a folder. Its device nodes are real for root; for others, files that lstat
// calls nodes.
type host struct {
	t     *testing.T
	dir   string
	nodes map[string]uint64 // path → number
	Options
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), nodes: map[string]uint64{}}
	h.Roots = gpu.Below(h.dir)
	h.lstat = func(p string) (fs.FileInfo, error) {
		fi, err := os.Lstat(p)
		if n, ok := h.nodes[p]; ok && err == nil && fi.Mode().IsRegular() {
			return nodeInfo{fi, n}, nil
		}
		return fi, err
	}
	return h
}

type nodeInfo struct {
	fs.FileInfo
	number uint64
}

func (n nodeInfo) Mode() fs.FileMode { return n.FileInfo.Mode() | fs.ModeDevice | fs.ModeCharDevice }
func (n nodeInfo) Sys() any {
	st := *n.FileInfo.Sys().(*syscall.Stat_t)
	st.Rdev = n.number
	return &st
}

func (h *host) path(p string) string {
	h.t.Helper()
	p = filepath.Join(h.dir, p)
	h.must(os.MkdirAll(filepath.Dir(p), 0o755))
	return p
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) node(p string, major, minor uint32) {
	h.t.Helper()
	p, number := h.path(p), unix.Mkdev(major, minor)
	h.nodes[p] = number
	if os.Getuid() != 0 {
		h.must(os.WriteFile(p, nil, 0o666))
		return
	}
	h.must(unix.Mknod(p, unix.S_IFCHR|0o666, int(number)))
}

func (h *host) file(p, content string) {
	h.t.Helper()
	h.must(os.WriteFile(h.path(p), []byte(content), 0o644))
}

func (h *host) link(p, to string) { h.t.Helper(); h.must(os.Symlink(to, h.path(p))) }

// spec installs a file of testdata.
func (h *host) spec(name string) {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	h.must(err)
	h.file("etc/cdi/"+name, string(b))
}

// device installs a description of vendor.com/thing=0 with these edits, one flow-style YAML mapping.
func (h *host) device(edits string) {
	h.t.Helper()
	h.file("etc/cdi/thing.yaml", "cdiVersion: 1.1.0\nkind: vendor.com/thing\ndevices:\n- name: \"0\"\n  containerEdits: "+edits+"\n")
}

func (h *host) resolve(names ...string) *Edits {
	h.t.Helper()
	e, err := Resolve(names, h.Options)
	h.must(err)
	return e
}

// fails gives the error of resolving names, which must say all of want.
func (h *host) fails(names []string, want ...string) error {
	h.t.Helper()
	e, err := Resolve(names, h.Options)
	if err == nil {
		h.t.Fatalf("no error: %+v", e)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			h.t.Errorf("error does not say %q: %v", w, err)
		}
	}
	return err
}

func targets(e *Edits) (out []string) {
	for _, n := range e.Nodes {
		out = append(out, n.Target)
	}
	return out
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}
