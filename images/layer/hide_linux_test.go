package layer

import (
	"bytes"
	"context"
	"path"
	"strings"
	"testing"
)

// Whiteouts beside those of the tree: in the order of the walk, inside of what is left out, where the tree has no
// folder, and none twice. What they hide is hidden when the layer is applied, and their folders are as below.
func TestPackHides(t *testing.T) {
	low, _ := apply(t, makeTar(t, dir("p/", 0o755), dir("p/c/", 0o700), file("p/c/a", "old"), file("p/c/b", "stays"), file("p-x", "x"), dir("q/", 0o755),
		dir("q/c/", 0o755), file("q/c/z", "old"), file("last", "old"), file("gone", "old")))
	up, _ := apply(t, makeTar(t, dir("p/", 0o755), dir("p/c/", 0o755), file("p/c/a", "left out"), file("p/c-", ""), file("p/d", ""), file("p-x", "new"), file(".wh.gone", "")))
	o := PackOptions{Epoch: 1234, Skip: func(p string) bool { return path.Base(p) == "c" }, Hide: []string{"zz", "q/c", "p/c/a", "gone", "last", "p/c/a"}}
	var b bytes.Buffer
	if err := Pack(context.Background(), &b, up+"/fs", o); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`0 ".wh.gone" 0000 0:0`, `0 ".wh.last" 0000 0:0`, `5 "p/" 0755 0:0`, `0 "p/c/.wh.a" 0000 0:0`, `0 "p/c-" 0644 0:0`, `0 "p/d" 0644 0:0`,
		`0 "p-x" 0644 0:0 "new"`, `0 "q/.wh.c" 0000 0:0`, `0 ".wh.zz" 0000 0:0`}, "\n")
	if got := entries(t, b.Bytes()); got != want {
		t.Errorf("packed\n%s\nwant\n%s", got, want)
	}
	over, _ := apply(t, b.Bytes())
	st := NewStack([]string{low + "/fs", over + "/fs"})
	defer st.Close()
	var left []string
	for _, dir := range []string{"/", "/p", "/p/c", "/q"} {
		ents, err := st.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ents {
			left = append(left, path.Join(dir, e.Name()))
		}
	}
	if got := strings.Join(left, " "); got != "/p /p-x /q /p/c /p/c- /p/d /p/c/b" {
		t.Errorf("left: %s", got)
	}
	owners, err := ReadOwners(over)
	if err != nil {
		t.Fatal(err)
	}
	if !owners.Owner("p/c").Inherit {
		t.Error("a folder on the way to a whiteout is not the one below")
	}
}
