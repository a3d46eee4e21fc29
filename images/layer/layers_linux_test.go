package layer

import (
	"archive/tar"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type layersCase struct {
	name   string
	layers [][]ent // bottom first
	want   string  // lines "path=description", sorted; "." is left out unless it is given
	err    string  // of the last layer
}

func ents(e ...ent) []ent { return e }

func opq(dir string) ent { return file(dir+".wh..wh..opq", "") }

// What the container sees, by the table of rules and traps of image-spec's layer.md.
func layersCases() []layersCase {
	lower := ents(dir("d/", 0o755), file("d/a", "low a"), file("d/b", "low b"), file("f", "low f"), symlink("l", "d"))
	return []layersCase{
		{name: "T-42 whiteout of a file and of a directory", layers: [][]ent{lower, ents(file(".wh.f", ""), file(".wh.d", ""))}, want: "l=l d"},
		{name: "T-42 whiteout of nothing", layers: [][]ent{lower, ents(file(".wh.nothing", ""), file("none/.wh.x", ""))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 low f|l=l d|none=d 0755"},
		{name: "T-42 whiteout in the first layer", layers: [][]ent{ents(file(".wh.x", ""), file("y", ""))}, want: "y=f 0644 "},
		{name: "T-43 whiteout, then add", layers: [][]ent{lower, ents(file(".wh.f", ""), file("f", "new"))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 new|l=l d"},
		{name: "T-43 add, then whiteout", layers: [][]ent{lower, ents(file("f", "new"), file(".wh.f", ""))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 new|l=l d"},
		{name: "T-43 whiteout of a directory, then the directory", layers: [][]ent{lower, ents(file(".wh.d", ""), dir("d/", 0o700), file("d/n", "new"))},
			want: "d/n=f 0644 new|d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-43 the directory, then its whiteout", layers: [][]ent{lower, ents(dir("d/", 0o700), file("d/n", "new"), file(".wh.d", ""))},
			want: "d/n=f 0644 new|d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-43 whiteout of a directory, then a file in it", layers: [][]ent{lower, ents(file(".wh.d", ""), file("d/n", "new"))},
			want: "d/n=f 0644 new|d=d 0755|f=f 0644 low f|l=l d"},
		{name: "T-43 a file in a directory, then the whiteout of the directory", layers: [][]ent{lower, ents(file("d/n", "new"), file(".wh.d", ""))},
			want: "d/n=f 0644 new|d=d 0755|f=f 0644 low f|l=l d"},
		{name: "T-43 a whiteout that a file displaced, then a directory", layers: [][]ent{lower, ents(file(".wh.d", ""), file("d", "x"), dir("d/", 0o700))}, want: "d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-43 a file, its whiteout, then a directory", layers: [][]ent{lower, ents(file("d", "x"), file(".wh.d", ""), dir("d/", 0o700))}, want: "d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-43 an opaque directory, a file, then a directory", layers: [][]ent{lower, ents(dir("d/", 0o755), opq("d/"), file("d", "x"), dir("d/", 0o700))}, want: "d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-43 an opaque directory, two links, then a directory", layers: [][]ent{lower, ents(opq("d/"), symlink("d", "l"), symlink("d", "k"), dir("d/", 0o700), file("d/n", "new"))}, want: "d/n=f 0644 new|d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-43 a whiteout in a directory that goes and comes", layers: [][]ent{lower, ents(dir("d/", 0o755), file("d/.wh.a", ""), file("d", "x"), dir("d/", 0o700))}, want: "d/b=f 0644 low b|d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-43 the same, and the directory comes for a file in it", layers: [][]ent{ents(file("e/d/a/x", "low"), file("e/d/b/x", "low"), file("e/o", "low")), ents(file("e/d/a", "new"), file("e/d/.wh.a", ""), opq("e/d/b/"), file("e", "x"), dir("e/", 0o700), file("e/d/a/n", "new"), dir("e/d/b/", 0o700))},
			want: "e/d/a/n=f 0644 new|e/d/a=d 0755|e/d/b=d 0700|e/d=d 0755|e/o=f 0644 low|e=d 0700"},
		{name: "T-43 a whiteout in a directory that goes, and does not come itself", layers: [][]ent{ents(file("e/d/a", "low"), file("e/d/b", "low")), ents(file("e/d/.wh.a", ""), file("e", "x"), dir("e/", 0o700))},
			want: "e/d/b=f 0644 low|e/d=d 0755|e=d 0700"},
		{name: "T-43 a file and a directory over a lower one, nothing hidden", layers: [][]ent{lower, ents(file("d", "x"), dir("d/", 0o700))}, want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0700|f=f 0644 low f|l=l d"},
		{name: "T-44 opaque first", layers: [][]ent{lower, ents(dir("d/", 0o755), opq("d/"), file("d/n", "new"))},
			want: "d/n=f 0644 new|d=d 0755|f=f 0644 low f|l=l d"},
		{name: "T-44 opaque in the middle", layers: [][]ent{lower, ents(dir("d/", 0o755), file("d/m", "m"), opq("d/"), file("d/n", "new"))},
			want: "d/m=f 0644 m|d/n=f 0644 new|d=d 0755|f=f 0644 low f|l=l d"},
		{name: "T-44 opaque last", layers: [][]ent{lower, ents(dir("d/", 0o755), file("d/n", "new"), opq("d/"))},
			want: "d/n=f 0644 new|d=d 0755|f=f 0644 low f|l=l d"},
		{name: "T-44 opaque without its directory", layers: [][]ent{lower, ents(opq("d/"))}, want: "d=d 0755|f=f 0644 low f|l=l d"},
		{name: "T-44 opaque, nested", layers: [][]ent{ents(file("d/e/x", "x"), file("d/y", "y")), ents(opq("d/"), opq("d/e/"), file("d/e/z", "z"))},
			want: "d/e/z=f 0644 z|d/e=d 0755|d=d 0755"},
		{name: "T-44 opaque on a new directory", layers: [][]ent{lower, ents(dir("n/", 0o755), opq("n/"), file("n/x", "x"))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 low f|l=l d|n/x=f 0644 x|n=d 0755"},
		{name: "T-44 opaque root", layers: [][]ent{lower, ents(opq(""), file("x", "x"))}, want: "x=f 0644 x"},
		{name: "T-45 whiteout of nothing at all", layers: [][]ent{lower, ents(file("d/.wh.", ""))}, err: "whiteout"},
		{name: "T-45 whiteout of the directory", layers: [][]ent{lower, ents(file("d/.wh..", ""))}, err: "whiteout"},
		{name: "T-45 whiteout of the parent", layers: [][]ent{lower, ents(file("d/.wh...", ""))}, err: "whiteout"},
		{name: "T-45 bookkeeping of aufs", layers: [][]ent{ents(dir(".wh..wh.plnk/", 0o700), file(".wh..wh.aufs", "x"), file("y", ""))}, want: "y=f 0644 "},
		{name: "T-45 a directory of a whiteout's name", layers: [][]ent{ents(file("a/.wh.dir/file", ""))}, err: "begins with .wh."},
		{name: "T-45 a directory of a whiteout's name, behind a link", layers: [][]ent{ents(symlink("l", ".wh.dir"), file("l/file", ""))}, err: "begins with .wh."},
		{name: "T-46 directory over directory", layers: [][]ent{lower, ents(dir("d/", 0o711))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0711|f=f 0644 low f|l=l d"},
		{name: "T-47 file over directory", layers: [][]ent{lower, ents(file("d", "now a file"))}, want: "d=f 0644 now a file|f=f 0644 low f|l=l d"},
		{name: "T-47 directory over file", layers: [][]ent{lower, ents(dir("f/", 0o755), file("f/x", "x"))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f/x=f 0644 x|f=d 0755|l=l d"},
		{name: "T-47 directory over link", layers: [][]ent{lower, ents(dir("l/", 0o755), file("l/x", "x"))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 low f|l/x=f 0644 x|l=d 0755"},
		{name: "T-47 file over link", layers: [][]ent{lower, ents(file("l", "x"))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 low f|l=f 0644 x"},
		{name: "T-48 file below a lower link", layers: [][]ent{lower, ents(file("l/x", "x"))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 low f|l/x=f 0644 x|l=d 0755"},
		{name: "T-48 file below a link of the same layer", layers: [][]ent{ents(symlink("lib", "usr/lib"), file("lib/x", "x"), symlink("abs", "/usr"), file("abs/y", "y"))},
			want: "abs=l /usr|lib=l usr/lib|usr/lib/x=f 0644 x|usr/lib=d 0755|usr/y=f 0644 y|usr=d 0755"},
		{name: "T-48 a link is replaced between two files below it", layers: [][]ent{ents(symlink("l", "a"), file("l/x", "x"), symlink("l", "b"), file("l/y", "y"))},
			want: "a/x=f 0644 x|a=d 0755|b/y=f 0644 y|b=d 0755|l=l b"},
		{name: "T-49 a name twice", layers: [][]ent{ents(file("a", "first"), hardlink("b", "a"), file("a", "last"))}, want: "a=f 0644 last|b=f 0644 first"},
		{name: "T-50 hard link to a link", layers: [][]ent{ents(symlink("s", "nowhere"), hardlink("h", "s"))}, want: "h=l nowhere|s=l nowhere"},
		{name: "T-50 hard link to itself", layers: [][]ent{ents(file("a", "a"), hardlink("a", "a"))}, want: "a=f 0644 a"},
		{name: "T-50 hard link to a lower layer", layers: [][]ent{lower, ents(hardlink("h", "f"))}, err: "not in this layer"},
		{name: "T-50 hard link to a later entry", layers: [][]ent{ents(hardlink("h", "f"), file("f", ""))}, err: "not in this layer"},
		{name: "T-50 hard link to a directory", layers: [][]ent{ents(dir("d/", 0o755), hardlink("h", "d"))}, err: "hard link to a directory"},
		{name: "T-50 hard link to a whiteout", layers: [][]ent{lower, ents(file(".wh.f", ""), hardlink("d/a", "f"))}, err: "not in this layer"},
		{name: "T-51 hard link out of the layer", layers: [][]ent{ents(hardlink("h", "../../etc/passwd"))}, err: "leads out"},
		{name: "T-51 hard link to an absolute name", layers: [][]ent{ents(file("etc/x", "x"), hardlink("h", "/etc/x"))}, want: "etc/x=f 0644 x|etc=d 0755|h=f 0644 x"},
		{name: "T-51 hard link through a link", layers: [][]ent{ents(symlink("e", "/etc"), hardlink("h", "e/passwd"))}, err: "the target"},
		{name: "T-54 overlay's own char 0:0", layers: [][]ent{lower, ents(ent{tar.Header{Typeflag: tar.TypeChar, Name: "f", Mode: 0o600}, ""})},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0600 |l=l d"},
		{name: "T-54 overlay's own attributes", layers: [][]ent{lower, ents(xattrs(dir("d/", 0o755), "user.overlay.opaque", "y", "trusted.overlay.opaque", "y"), xattrs(file("f", ""), "user.overlay.whiteout", "y"))},
			want: "d/a=f 0644 low a|d/b=f 0644 low b|d=d 0755|f=f 0644 |l=l d"},
		{name: "T-55 devices", layers: [][]ent{ents(ent{tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""}, ent{tar.Header{Typeflag: tar.TypeBlock, Name: "dev/sda", Mode: 0o660, Devmajor: 8}, ""})},
			want: "dev/null=f 0666 |dev/sda=f 0660 |dev=d 0755"},
		{name: "T-60 names", layers: [][]ent{ents(file("/abs", ""), file("./dot", ""), file("x//y", ""), file("a/../b", ""), file("bad\xff", ""), file("new\nline", ""), file("co:lon,comma\\", ""))},
			want: "abs=f 0644 |b=f 0644 |bad\ufffd=f 0644 |co:lon,comma\\=f 0644 |dot=f 0644 |new\nline=f 0644 |x/y=f 0644 |x=d 0755"},
		{name: "T-60 a name out of the layer", layers: [][]ent{ents(file("../x", ""))}, err: "leads out"},
		{name: "T-60 a name out of the layer, deep", layers: [][]ent{ents(file("a/../../x", ""))}, err: "leads out"},
		{name: "T-60 a component of 256 bytes", layers: [][]ent{ents(file(strings.Repeat("n", 256), ""))}, err: "too long"},
		{name: "T-61 the root's mode, twice", layers: [][]ent{ents(dir("./", 0o700), dir("/", 0o711), file("x", ""))}, want: ".=d 0711|x=f 0644 "},
		{name: "T-61 a root that is a file", layers: [][]ent{ents(file("./.", "x"))}, err: "root"},
		{name: "a parent that is a file", layers: [][]ent{ents(file("a", ""), file("a/b", ""))}, err: "not a directory"},
	}
}

func xattrs(e ent, kv ...string) ent {
	e.PAXRecords = map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		e.PAXRecords["SCHILY.xattr."+kv[i]] = kv[i+1]
	}
	return e
}

func TestLayers(t *testing.T) {
	for _, c := range layersCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var trees []string
			for i, l := range c.layers {
				d := newLayer(t)
				give(t, d)
				err := asUser(t, false, "apply", applyJob{Dir: d, Tar: makeTar(t, l...), Umask: 0o077}, nil)
				if c.err != "" && i == len(c.layers)-1 {
					if err == nil || !strings.Contains(err.Error(), c.err) {
						t.Fatalf("error %v, want one with %q", err, c.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				trees = append(trees, d+"/fs")
			}
			mnt := openDir(t) + "/m"
			if err := os.Mkdir(mnt, 0o755); err != nil {
				t.Fatal(err)
			}
			give(t, filepath.Dir(mnt))
			view := map[string]string{}
			if err := asUser(t, true, "look", lookJob{trees, mnt}, &view); err != nil {
				t.Fatal(err)
			}
			compare(t, "kernel", view, c.want)
			stack, err := describeStack(NewStack(trees))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "stack", stack, c.want)
		})
	}
}

// Without openat2 the same comes out.
func TestLayersOnAnOldKernel(t *testing.T) {
	for _, c := range layersCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := makeTar(t, c.layers[len(c.layers)-1]...)
			var seen [2]string
			for i, helper := range []string{"apply", "old"} {
				d := newLayer(t)
				give(t, d)
				err := asUser(t, false, helper, applyJob{Dir: d, Tar: b, Umask: 0o022}, nil)
				view, derr := describe(d + "/fs")
				if derr != nil {
					t.Fatal(derr)
				}
				seen[i] = fmt.Sprint(view, strings.ReplaceAll(fmt.Sprint(err), d, ""))
			}
			if seen[0] != seen[1] {
				t.Errorf("with openat2\n %s\nwithout\n %s", seen[0], seen[1])
			}
		})
	}
}

func compare(t *testing.T, who string, view map[string]string, want string) {
	t.Helper()
	var lines []string
	for _, p := range slices.Sorted(maps.Keys(view)) {
		if p != "." || strings.Contains(want, ".=") {
			lines = append(lines, fmt.Sprintf("%s=%s", strings.ToValidUTF8(p, "\ufffd"), view[p]))
		}
	}
	slices.Sort(lines)
	w := strings.Split(want, "|")
	slices.Sort(w)
	if got, want := strings.Join(lines, "|"), strings.Join(w, "|"); got != want {
		t.Errorf("the %s sees\n %q\nwant\n %q", who, got, want)
	}
}
