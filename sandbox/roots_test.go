package sandbox

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// A project counts as gone only 30 days after its folder was last seen, however long ago it was built.
func TestRootsOfProjects(t *testing.T) {
	dir, gone := t.TempDir(), t.TempDir()+"/gone"
	loop := t.TempDir() + "/loop"
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	days := func(n int) int64 { return time.Now().Add(-time.Duration(n) * 24 * time.Hour).Unix() }
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		r    rootRecord
		kept bool
	}{
		"there, built long ago":      {rootRecord{Project: dir, Seen: days(300)}, true},
		"gone for a day":             {rootRecord{Project: gone, Seen: days(1)}, true},
		"gone for long":              {rootRecord{Project: gone, Seen: days(31)}, false},
		"gone, the clock was set on": {rootRecord{Project: gone, Seen: days(-4000)}, true},
		"below what is no folder":    {rootRecord{Project: "/dev/null/x", Seen: days(300)}, false},
		"on a disk that is broken":   {rootRecord{Project: loop + "/x", Seen: days(300)}, true},
	} {
		c.r.Layers, c.r.Wheels, c.r.Blobs = []string{"l"}, []string{"w"}, []string{"sha256:" + hex}
		file := t.TempDir() + "/r.json"
		if err := writeRoot(file, c.r); err != nil {
			t.Fatal(err)
		}
		keep := map[string]bool{}
		if err := keepRoot(keep, file); err != nil {
			t.Fatal(err)
		}
		if keep["layer/l"] != c.kept || keep["wheel/w"] != c.kept || keep["blob/"+hex] != c.kept {
			t.Errorf("%s: %v", name, keep)
		}
	}
	// What was there today is not gone tomorrow.
	file := t.TempDir() + "/r.json"
	if err := writeRoot(file, rootRecord{Project: dir, Layers: []string{"l"}, Seen: days(300)}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(keepRoot(map[string]bool{}, file), os.Remove(dir)); err != nil {
		t.Fatal(err)
	}
	keep := map[string]bool{}
	if err := keepRoot(keep, file); err != nil || !keep["layer/l"] {
		t.Errorf("seen a moment ago: %v, %v", keep, err)
	}
}

// T-21: a record that cannot be read is named, and nothing is removed.
func TestDamagedRoots(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": `{"project":"/x`, "other": `{"x":1}`} {
		file := t.TempDir() + "/r.json"
		if err := atomicfile.Write(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := keepRoot(map[string]bool{}, file); err == nil || !strings.Contains(err.Error(), file) || !strings.HasPrefix(err.Error(), "nothing was removed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T-23: what is noted as in use while a collection is on its way stays, although its maker has ended.
func TestRootNotedDuringGC(t *testing.T) {
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, n := range []string{"aa", "bb"} {
		if _, _, err := st.MakeLayer(context.Background(), n, func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	file := st.Path(store.Roots, "r.json")
	none := func(store.Kind, string) bool { return false }
	_, err = st.GC(context.Background(), none, store.GCOptions{Again: func() (store.Keep, error) {
		err := writeRoot(file, rootRecord{Project: t.TempDir(), Layers: []string{"bb"}})
		keep := map[string]bool{}
		return func(k store.Kind, name string) bool { return keep[string(k)+"/"+name] }, errors.Join(err, keepRoot(keep, file))
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, a := st.Layer(t.Context(), "aa")
	_, b := st.Layer(t.Context(), "bb")
	if a || !b {
		t.Errorf("aa is there: %v, bb: %v", a, b)
	}
	_, err = st.GC(context.Background(), none, store.GCOptions{Again: func() (store.Keep, error) { return nil, errors.New("unreadable") }})
	if _, b := st.Layer(t.Context(), "bb"); err == nil || !b {
		t.Errorf("%v; bb is there: %v", err, b)
	}
}

// A dry run removes nothing, also no shell that a collection would sweep away, and counts what that would free; a
// collection that finds a record it cannot read leaves the shell, too.
func TestDryRunLeavesOldShells(t *testing.T) {
	m, err := Open(Options{StoreDir: t.TempDir(), Environ: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	st, err := m.Store()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.MakeLayer(t.Context(), "aa", func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	in, err := m.l.Open("shell-x")
	if err != nil {
		t.Fatal(err)
	}
	old := launch.State{Project: "/x", Shell: true, Ended: time.Now().Add(-8 * 24 * time.Hour), Layers: []string{"aa"}}
	if err := errors.Join(in.SetState(old), in.Close()); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(st.Path(store.Roots), "r.json")
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.GC(t.Context(), GCOptions{}); err == nil {
		t.Error("a record that is empty was passed over")
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	dry, err := m.GC(t.Context(), GCOptions{DryRun: true})
	if _, serr := in.State(); err != nil || serr != nil || dry.Layers != 1 {
		t.Errorf("%+v, %v, %v", dry, err, serr)
	}
	if _, err := os.Stat(in.Dir); err != nil {
		t.Fatal(err)
	}
	if f, err := m.GC(t.Context(), GCOptions{}); err != nil || !reflect.DeepEqual(f, dry) {
		t.Errorf("%+v, %v; the dry run said %+v", f, err, dry)
	}
	if _, err := os.Stat(in.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old shell is left: %v", err)
	}
}

// T-11, T-18: records of our own are compared with their checksum, and something else in their place, which would keep
// a reader waiting, is an error at once. verify names them and leaves them alone.
func TestRecordsAreChecked(t *testing.T) {
	m, err := Open(Options{StoreDir: t.TempDir(), Environ: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := m.Store()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(st.Path(store.Roots), "r.json")
	in, err := m.l.Open("box")
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(in.Dir, "state.json")
	write := func() {
		t.Helper()
		for _, f := range []string{root, state} {
			if err := os.RemoveAll(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(writeRoot(root, rootRecord{Project: "/x", Layers: []string{"0123"}}), in.SetState(launch.State{Layers: []string{"0123"}})); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if d := m.damagedRecords(st); len(d) > 0 {
		t.Errorf("whole records: %q", d)
	}
	for name, spoil := range map[string]func(path string) error{
		"one digit": func(p string) error {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return os.WriteFile(p, bytes.Replace(b, []byte("0123"), []byte("0133"), 1), 0o600)
		},
		"a fifo":   func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) },
		"a link":   func(p string) error { return errors.Join(os.Rename(p, p+".moved"), os.Symlink(p+".moved", p)) },
		"a folder": func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
	} {
		write()
		if err := errors.Join(spoil(root), spoil(state)); err != nil {
			t.Fatal(err)
		}
		d := m.damagedRecords(st)
		if len(d) != 2 || !strings.Contains(d[0], root) || !strings.Contains(d[1], "sandbox rm box") {
			t.Errorf("%s: %q", name, d)
		}
		if err := keepRoot(map[string]bool{}, root); err == nil || !strings.HasPrefix(err.Error(), "nothing was removed") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := m.GC(t.Context(), GCOptions{}); err == nil {
			t.Errorf("%s: collected all the same", name)
		}
		os.Remove(root + ".moved")
		os.Remove(state + ".moved")
	}
}
