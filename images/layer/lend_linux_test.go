package layer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/lend"
)

// closedTar has files and folders that keep their owner out, in each other.
func closedTar(t testing.TB) []byte {
	ents := []ent{
		dir("etc/", 0o755), dir("none/", 0), dir("none/in/", 0), with0(file("none/in/f", "f")), symlink("none/l", "in/f"), fifo("none/p"),
		dir("search/", 0o100), file("search/f", "f"), dir("read/", 0o400), file("read/f", "f"), opq("none/in/"), file("none/.wh.gone", ""),
		with0(xattrs(file("x", "x"), "user.k", "v")), with0(file("first", "twice")), hardlink("none/second", "first"),
	}
	for i := range 60 {
		ents = append(ents, with0(file(fmt.Sprintf("etc/shadow%d", i), fmt.Sprint(i))))
	}
	return makeTar(t, ents...)
}

// with0 is an entry of mode 0.
func with0(e ent) ent { e.Mode = 0; return e }

// closedLayer is closedTar as a layer of the ordinary user.
func closedLayer(t *testing.T) (string, store.Layer) {
	b := closedTar(t)
	d := newLayer(t)
	give(t, d)
	if err := asUser(t, false, "apply", applyJob{Dir: d, Tar: b}, nil); err != nil {
		t.Fatal(err)
	}
	return d, layerOf(d, b)
}

func layerOf(d string, b []byte) store.Layer {
	return store.Layer{Name: store.DigestOf(b).Hex(), Dir: d, FS: d + "/fs"}
}

// check is Check with folders next to the layer.
func check(ctx context.Context, l store.Layer) error {
	return Check(func(string) (string, func(), error) {
		d, err := os.MkdirTemp(l.Dir, "check-")
		return d, func() { store.RemoveAll(d) }, err
	})(ctx, l)
}

// Readers of a layer see its true modes, and each the same, whatever the others do.
func TestClosedFilesHaveManyReaders(t *testing.T) {
	_, l := closedLayer(t)
	if err := asUser(t, false, "readers", l, nil); err != nil {
		t.Error(err)
	}
}

func manyReaders(l store.Layer) error {
	ctx := context.Background()
	want, err := DiffID(ctx, l.FS, PackOptions{})
	if err != nil {
		return err
	}
	errs := make([]error, 3)
	var all sync.WaitGroup
	for i, f := range []func() error{
		func() error { return Reassemble(ctx, io.Discard, l.Dir) },
		func() error { return check(ctx, l) },
		func() error {
			got, err := DiffID(ctx, l.FS, PackOptions{})
			if err == nil && got != want {
				err = fmt.Errorf("the digests were %v and are %v", want, got)
			}
			return err
		},
	} {
		all.Go(func() {
			for range 15 {
				if errs[i] == nil {
					errs[i] = f()
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// What is lent at the moment is not seen: who looks waits until it is back.
func TestLentModeIsNotSeen(t *testing.T) {
	_, l := closedLayer(t)
	if err := asUser(t, false, "while-lent", l, nil); err != nil {
		t.Error(err)
	}
}

func readWhileLent(l store.Layer) error {
	ctx := context.Background()
	want, err := DiffID(ctx, l.FS, PackOptions{})
	if err != nil {
		return err
	}
	root, err := unix.Open(l.FS, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	tree, err := lend.New(root, l.FS)
	if err != nil {
		return err
	}
	for _, path := range []string{"fs/etc/shadow0", "fs/none/in/f", "fs/none/second"} {
		got, done := Digests{}, make(chan error)
		err := tree.Alone(ctx, func(s *lend.Session) error {
			p, err := s.Reach(path)
			if err == nil {
				err = s.Lend(p, path, 0o400)
			}
			go func() {
				var err error
				got, err = DiffID(ctx, l.FS, PackOptions{})
				done <- err
			}()
			time.Sleep(50 * time.Millisecond) // it gets as far as it can
			return err
		})
		if err := errors.Join(err, <-done); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("with %s lent the digests were %v, not %v", path, got, want)
		}
	}
	return nil
}

// A killed reader leaves nothing open: whoever comes next sees the true modes.
func TestKilledReaderLeavesNothingOpen(t *testing.T) {
	d, l := closedLayer(t)
	for range 20 {
		err := asUser(t, false, "kill-any", l, nil)
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatal(err)
		}
		if err := asUser(t, false, "check", l, nil); err != nil {
			t.Fatal(err)
		}
	}
	if m := stat(t, d+"/fs/none").Mode & 0o7777; m != 0 {
		t.Errorf("a folder of mode 0 has %o", m)
	}
	if _, err := os.Lstat(d + "/.fs.lent"); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
}

// killAny kills itself at some time while it reads.
func killAny(l store.Layer) error {
	go func() {
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}()
	for {
		if _, err := DiffID(context.Background(), l.FS, PackOptions{}); err != nil {
			return err
		}
	}
}

// Who waits for a stopped process ends with its context, and calls nothing damaged.
func TestWaitForAStoppedReaderEnds(t *testing.T) {
	_, l := closedLayer(t)
	if err := asUser(t, false, "stopped", l, nil); err != nil {
		t.Error(err)
	}
}

func waitForStopped(l store.Layer) error {
	other, err := unix.Open(l.FS, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if err := unix.Flock(other, unix.LOCK_EX); err != nil {
		return err
	}
	for name, f := range map[string]func(context.Context) error{
		"Reassemble": func(ctx context.Context) error { return Reassemble(ctx, io.Discard, l.Dir) },
		"Check":      func(ctx context.Context) error { return check(ctx, l) },
		"DiffID":     func(ctx context.Context) error { _, err := DiffID(ctx, l.FS, PackOptions{}); return err },
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		select {
		case err = <-done:
		case <-time.After(30 * time.Second):
			err = errors.New("it still waits")
		}
		cancel()
		var de *DamageError
		if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &de) {
			return fmt.Errorf("%s: %v", name, err)
		}
	}
	return nil
}

// What cannot be written down is not lent, and not called damaged.
func TestWithoutRoomForTheRecord(t *testing.T) {
	_, l := closedLayer(t)
	if err := asUser(t, false, "no-room", l, nil); err != nil {
		t.Error(err)
	}
}

func noRoom(l store.Layer) error {
	// No file may grow: the write of the record fails as on a full disk.
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	if err := syscall.Setrlimit(unix.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: was.Max}); err != nil {
		return err
	}
	err := Check(nil)(context.Background(), l)
	if e := syscall.Setrlimit(unix.RLIMIT_FSIZE, &was); e != nil {
		return e
	}
	var de *DamageError
	if !errors.Is(err, store.ErrUnchecked) || errors.As(err, &de) {
		return fmt.Errorf("without room: %v", err)
	}
	return check(context.Background(), l)
}

// A file that keeps its owner out and is replaced by a later entry comes back too, under whatever other name
// it has.
func TestClosedFileIsDisplaced(t *testing.T) {
	b := makeTar(t, dir("etc/", 0o755), with0(file("etc/gshadow", "old")), with0(file("etc/two", "has two names")), hardlink("etc/name", "etc/two"),
		file("etc/gshadow", "new"), file("etc/two", "new"))
	d := newLayer(t)
	give(t, d)
	// It reads the layer back as well.
	if err := asUser(t, false, "apply", applyJob{Dir: d, Tar: b}, nil); err != nil {
		t.Fatal(err)
	}
	if err := asUser(t, false, "check", layerOf(d, b), nil); err != nil {
		t.Error(err)
	}
	if m := stat(t, d+"/fs/etc/name").Mode & 0o7777; m != 0 {
		t.Errorf("the other name has mode %o", m)
	}
}

// A record that somebody else leaves next to a tree changes nothing.
func TestRecordOfSomebodyElse(t *testing.T) {
	d, b := newLayer(t), closedTar(t)
	give(t, d)
	if err := asUser(t, false, "apply", applyJob{Dir: d, Tar: b}, nil); err != nil {
		t.Fatal(err)
	}
	path := "fs/etc/shadow1"
	ino := stat(t, filepath.Join(d, path)).Ino
	for _, l := range []string{
		fmt.Sprintf("0777 0400 %d %q\n", ino, path), // it does not have the mode that was lent
		fmt.Sprintf("0777 0000 %d %q\n", ino+1, path),
		fmt.Sprintf("0777 0000 %d %q\n", ino, "fs/../"+path),
		fmt.Sprintf("0777 0000 %d %q\n", ino, "/"+path),
		fmt.Sprintf("0777 0000 %d %q", ino, path)[:24],
		"", "\n\x00\n",
	} {
		if err := os.WriteFile(d+"/.fs.lent", []byte(l), 0o600); err != nil {
			t.Fatal(err)
		}
		give(t, d+"/.fs.lent")
		if err := asUser(t, false, "check", layerOf(d, b), nil); err != nil {
			t.Errorf("%q: %v", l, err)
		}
		if m := stat(t, filepath.Join(d, path)).Mode & 0o7777; m != 0 {
			t.Fatalf("%q: mode %o", l, m)
		}
	}
}

// The folder that is packed may have any name, and a parent that cannot be written.
func TestPackClosedBelowAnothersFolder(t *testing.T) {
	d := openDir(t)
	top := d + "/a tree"
	if err := errors.Join(os.MkdirAll(top+"/none", 0o755), os.WriteFile(top+"/none/f", []byte("x"), 0)); err != nil {
		t.Fatal(err)
	}
	give(t, top)
	if err := errors.Join(os.Chmod(top+"/none", 0), os.Symlink("a tree", d+"/link"), os.Chmod(d, 0o555)); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(d, 0o755)
	for _, p := range []string{top, d + "/link/."} {
		var b bytes.Buffer
		if err := List(context.Background(), &b, p, PackOptions{}); err != nil {
			t.Fatal(err)
		}
		var got Digests
		if err := asUser(t, false, "pack", p, &got); err != nil {
			t.Fatal(err)
		}
		if got.Files != store.DigestOf(b.Bytes()) {
			t.Errorf("%s: the ordinary user packs something else", p)
		}
	}
	if m := stat(t, top+"/none").Mode & 0o7777; m != 0 {
		t.Errorf("mode %o", m)
	}
}
