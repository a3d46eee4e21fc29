package wheel

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// From the index that this machine is set up for: a wheel is found by name and hash, fetched,
// unpacked and put into a prefix.
func TestFromTheRealIndex(t *testing.T) {
	testenv.Need(t, "index")
	ctx := context.Background()
	set, err := Indexes(ctx, Settings{RunPython: true, Getenv: os.Getenv, Etc: "/etc"})
	if err != nil {
		t.Fatal(err)
	}
	idx, err := set.Default()
	if err != nil {
		t.Fatal(err)
	}
	c := fetch.New(fetch.Options{})
	files, err := NewClient(c).Files(ctx, idx, "Six")
	if err != nil {
		t.Fatal(err)
	}
	const file = "six-1.16.0-py2.py3-none-any.whl"
	pin := Pin{Name: "six", Version: "1.16.0", File: file, Index: Default}
	for _, f := range files {
		if f.Name == file {
			pin.SHA256, pin.Size = f.SHA256, f.Size
		}
	}
	if pin.SHA256 == "" {
		t.Fatalf("%s is not among %d files", file, len(files))
	}
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := Fetch(ctx, c, s, set, []Pin{pin}, nil); err != nil {
		t.Fatal(err)
	}
	ws, err := Prepare(ctx, s, []Pin{pin}, nil)
	if err != nil {
		t.Fatal(err)
	}
	prefix := t.TempDir()
	if err := Link(ws, prefix, "3.11", LinkOptions{}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(prefix, "lib/python3.11/site-packages/six.py"))
	if err != nil || !strings.Contains(string(b), "__version__ = \"1.16.0\"") {
		t.Errorf("six.py: %d bytes, %v", len(b), err)
	}
	bad := pin
	bad.Version, bad.File = "1.15.99", "six-1.15.99-py2.py3-none-any.whl"
	bad.SHA256 = strings.Repeat("0", 64)
	wantError(t, Fetch(ctx, c, s, set, []Pin{bad}, nil), "versions on offer: ")
	_, err = NewClient(c).Files(ctx, idx, "no-such-package-"+strings.Repeat("x", 40))
	wantError(t, err, "no such Python package")
}

// What lies in a local folder is taken from there, and only if it is what was locked.
func TestFetchFromALocalFolder(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	p := makeWheel(t, dir, "loc", "1.0", entry{name: "loc.py", body: "x"})
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set := Set{List: []Index{{Name: Default, URL: "file://" + dir, Flat: true}}}
	pin := Pin{Name: "loc", Version: "1.0", File: filepath.Base(p), Index: Default, Size: -1, SHA256: strings.Repeat("0", 64)}
	if err := Fetch(ctx, fetch.New(fetch.Options{}), s, set, []Pin{pin}, nil); err == nil {
		t.Error("a file with another hash was taken")
	}
	pin.SHA256 = store.DigestOf(b).Hex()
	if err := Fetch(ctx, fetch.New(fetch.Options{}), s, set, []Pin{pin}, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := Missing(t.Context(), s, []Pin{pin}); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := Prepare(ctx, s, []Pin{pin}, nil); err != nil {
		t.Error(err)
	}
}
