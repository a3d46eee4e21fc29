package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// canary is a tree beside the layer that must not change, in anything.
func canary(t testing.TB, root string) {
	t.Helper()
	for _, d := range []string{"out", "out/dir", "etc"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"out/file", "out/dir/file", "etc/passwd", "top"} {
		if err := os.WriteFile(filepath.Join(root, f), []byte("canary "+f), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot describes everything below root but the layer itself: contents, mode, inode, links, times.
func snapshot(t testing.TB, root, without string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == without {
			return fs.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		fmt.Fprintf(h, "%q %o %d %d %d %d %v\n", p, st.Mode, st.Ino, st.Nlink, st.Size, st.Uid, st.Mtim)
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			h.Write(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// attempt applies the layers in turn, each to a folder of its own inside the canary tree; all may fail,
// but nothing outside may change, and what worked gives its bytes back.
func attempt(t testing.TB, layers ...[]byte) {
	t.Helper()
	attemptIn(t, canaryDir(t), layers...)
}

func canaryDir(t testing.TB) string {
	t.Helper()
	root := openDir(t)
	canary(t, root)
	return root
}

func attemptIn(t testing.TB, root string, layers ...[]byte) {
	t.Helper()
	work := root + "/layers"
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, root, work)
	for i, b := range layers {
		d := fmt.Sprintf("%s/%d", work, i)
		for _, s := range []string{"", "/fs", "/tar"} {
			if err := os.Mkdir(d+s, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		beside := snapshot(t, d, d+"/fs")
		_, err := Apply(context.Background(), bytes.NewReader(b), d, ApplyOptions{NoSide: i%2 == 1, Limits: Limits{Bytes: 64 << 20}})
		if i%2 == 1 && snapshot(t, d, d+"/fs") != beside {
			t.Errorf("layer %d (%v) changed its own folder beside fs/", i, err)
		}
		if err == nil && i%2 == 0 {
			same(t, d, b)
		}
	}
	if snapshot(t, root, work) != before {
		t.Errorf("something outside of the layers has changed")
	}
}

// at puts the folder of the canary tree in the place of HERE, the root of the machine as far as these layers go:
// whoever breaks out by an absolute name is seen, and changes nothing of the machine.
func at(root string, es []ent) []ent {
	out := slices.Clone(es)
	for i := range out {
		h := &out[i].Header
		h.Name, h.Linkname = strings.ReplaceAll(h.Name, "HERE", root), strings.ReplaceAll(h.Linkname, "HERE", root)
	}
	return out
}

// breakouts are the layouts by which archives have broken out of extractors.
func breakouts() map[string][]ent {
	up := "../../../out" // from fs/ to the canary
	return map[string][]ent{
		"absolute link":                      ents(symlink("l", "HERE/etc"), file("l/passwd", "x")),
		"link up and out":                    ents(symlink("l", up), file("l/file", "x"), file("l/new", "x")),
		"link up, out and in again":          ents(symlink("l", up+"/../layers/0/fs"), file("l/x", "x")),
		"links in a chain":                   ents(symlink("a", ".."), symlink("a2", "a/.."), symlink("b", "a2/.."), symlink("c", "b/out"), file("c/file", "x")),
		"links in a loop":                    ents(symlink("a", "b"), symlink("b", "a"), file("a/x", "x")),
		"link to its parent":                 ents(dir("d/", 0o755), symlink("d/l", "../../../../out"), file("d/l/file", "x")),
		"link with a slash at its end":       ents(symlink("l/", up+"/"), file("l/file", "x")),
		"directory over a link":              ents(symlink("l", up), dir("l/", 0o777), file("l/file", "x")),
		"directory over a link, attributes":  ents(symlink("l", up), xattrs(dir("l/", 0o777), "user.k", "v")),
		"file over a link":                   ents(symlink("l", up+"/file"), file("l", "x")),
		"file over a dangling link":          ents(symlink("l", up+"/new"), file("l", "x")),
		"fifo over a link":                   ents(symlink("l", up+"/file"), fifo("l")),
		"hard link, relative":                ents(hardlink("h", up+"/file"), file("h", "x")),
		"hard link, absolute":                ents(hardlink("h", "HERE/etc/passwd"), file("h", "x")),
		"hard link, down and out":            ents(dir("d/", 0o755), hardlink("d/h", "d/../../../../out/file")),
		"hard link through a link":           ents(symlink("l", up), hardlink("h", "l/file"), file("h", "x")),
		"hard link to a link, then chmod":    ents(symlink("l", up+"/file"), with(hardlink("h", "l"), func(h *tar.Header) { h.Mode = 0o777 }), file("h", "x")),
		"hard link before its target exists": ents(hardlink("h", "l"), symlink("l", up+"/file"), file("h", "x")),
		"whiteout of the root":               ents(file(".wh..", "")),
		"whiteout of the parent":             ents(file(".wh...", "")),
		"whiteout of the current directory":  ents(dir("d/", 0o755), file("d/.wh..", "")),
		"whiteout with a path":               ents(file(".wh.../out", "")),
		"whiteout via a link":                ents(symlink("l", up), file("l/.wh.file", "")),
		"whiteout via an absolute link":      ents(symlink("l", "HERE/etc"), file("l/.wh.passwd", "")),
		"opaque via a link":                  ents(symlink("l", up), opq("l/")),
		"whiteout, relative":                 ents(file("../out/.wh.file", "")),
		"name up and out":                    ents(file(up+"/file", "x")),
		"name up and out, deep":              ents(file("a/b/../../"+up+"/file", "x")),
		"absolute name":                      ents(file("HERE/etc/passwd", "x")),
		"device":                             ents(ent{tar.Header{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8, Mode: 0o666}, ""}, file("sda", "x")),
		"directory made of a link, later":    ents(dir("d/", 0o755), file("d/x", "x"), symlink("d", up), file("d/file", "x"), dir("d/dir/", 0o700)),
		"link swapped under a cached parent": ents(symlink("l", "in"), file("l/a", "a"), symlink("l", up), file("l/file", "x")),
		"parent swapped below the top":       ents(file("a/b/c", "c"), symlink("a/b", "../"+up), file("a/b/file", "x"), with(dir("a/b/dir/", 0o777), func(h *tar.Header) { h.Uid = 1 })),
		"attributes of a folder that went":   ents(dir("d/e/", 0o700), symlink("d", up), symlink("x", "d/dir")),
		"link to proc":                       ents(symlink("p", "/proc/self/root"), file("pHERE/out/file", "x"), symlink("q", "/proc/self/cwd"), file("q/x", "x")),
		"link target with many parts":        ents(symlink("l", up+"/dir/../dir/./../file/.."), file("l/x", "x")),
		"the side data's own names":          ents(file("../tar/raw.zst", "x"), file("../meta.json", "x")),
	}
}

// T-2: as whoever runs the tests, with all that root may do.
func TestBreakouts(t *testing.T) {
	for name, es := range breakouts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := canaryDir(t)
			all := at(root, es)
			attemptIn(t, root, makeTar(t, all...), makeTar(t, all...))
			for cut := 1; cut < len(es); cut++ { // the same, spread over layers
				root := canaryDir(t)
				all := at(root, es)
				attemptIn(t, root, makeTar(t, all[:cut]...), makeTar(t, all[cut:]...))
			}
		})
	}
}

// T-2: as an ordinary user, to whom everything outside of the layer belongs: no permission protects it. Both layers
// are applied where the first one lies beside the second, with openat2 and without.
func TestBreakoutsOfAnOrdinaryUser(t *testing.T) {
	for name, es := range breakouts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for cut := range es {
				for _, helper := range []string{"apply", "old"} {
					root := canaryDir(t)
					all := at(root, es)
					attemptAsUser(t, root, helper, makeTar(t, all[:cut]...), makeTar(t, all[cut:]...))
				}
			}
		})
	}
}

func attemptAsUser(t *testing.T, root, helper string, layers ...[]byte) {
	t.Helper()
	work := root + "/layers"
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range layers {
		for _, d := range []string{"", "/fs", "/tar"} {
			if err := os.Mkdir(fmt.Sprintf("%s/%d%s", work, i, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	give(t, root)
	before := snapshot(t, root, work)
	for i, b := range layers {
		d := fmt.Sprintf("%s/%d", work, i)
		err := asUser(t, false, helper, applyJob{Dir: d, Tar: b, Umask: 0o022}, nil)
		if err != nil && strings.Contains(err.Error(), "reassembled bytes differ") {
			t.Errorf("layer %d: %v", i, err)
		}
	}
	if snapshot(t, root, work) != before {
		t.Errorf("%s: something outside of the layers has changed", helper)
	}
}

// randomLayer is a layer of few names and many collisions: every kind of entry over every other.
func randomLayer(t testing.TB, r *rand.Rand, n int) []byte {
	parts := []string{"a", "b", "c", "l", ".wh.a", ".wh.b", ".wh..wh..opq"}
	targets := []string{"a", "/b", "..", "../../../out", "b/c", ".", "/", "l", "c/../a"}
	name := func() string {
		s := parts[r.IntN(len(parts))]
		for range r.IntN(3) {
			s = parts[r.IntN(4)] + "/" + s
		}
		return s
	}
	var es []ent
	for i := range n {
		nm := name()
		switch r.IntN(9) {
		case 0, 1, 2:
			es = append(es, file(nm, fmt.Sprintf("%d %s", i, bytes.Repeat([]byte("x"), r.IntN(300)))))
		case 3:
			es = append(es, file(nm, ""))
		case 4, 5:
			es = append(es, dir(nm+"/", int64(r.IntN(0o1000))))
		case 6:
			es = append(es, symlink(nm, targets[r.IntN(len(targets))]))
		case 7:
			es = append(es, hardlink(nm, name()))
		case 8:
			es = append(es, fifo(nm))
		}
	}
	return makeTar(t, es...)
}

// Whatever the collisions: contained, and if it works, the very bytes come back.
func TestRandomLayers(t *testing.T) {
	worked := 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := randomLayer(t, r, 3+r.IntN(25))
		attempt(t, b)
		if _, err := Apply(context.Background(), bytes.NewReader(b), newLayer(t), ApplyOptions{}); err == nil {
			worked++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if worked < 15 {
		t.Errorf("only %d of 100 random layers could be applied: the test proves little", worked)
	}
}

func FuzzApply(f *testing.F) {
	for _, c := range layersCases() {
		for _, l := range c.layers {
			f.Add(makeTar(f, l...))
		}
	}
	for seed := range uint64(20) {
		f.Add(randomLayer(f, rand.New(rand.NewPCG(seed, 2)), 12))
	}
	f.Fuzz(func(t *testing.T, b []byte) { attempt(t, b) })
}
