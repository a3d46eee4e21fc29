package layer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
)

// Check reads a layer again and compares: one that was applied with its diffID and with the tree that its tar
// makes, one that was built with the digest of its file list. It fits [store.VerifyOptions]. temp makes an
// empty folder on the store's file system, as [store.Store.TempDir] does; without one (nil, or where it fails
// because the store is only readable) the contents are compared, but not names, modes and links.
func Check(temp func(pattern string) (path string, cleanup func(), err error)) func(context.Context, store.Layer) error {
	return func(ctx context.Context, l store.Layer) error {
		if _, err := os.Stat(filepath.Join(l.Dir, sideFile)); err != nil {
			return checkBuilt(ctx, l)
		}
		dir := ""
		if temp != nil {
			d, cleanup, err := temp("check")
			if err == nil {
				defer cleanup()
				dir = d
			} else if !errors.Is(err, store.ErrReadOnly) {
				return err
			}
		}
		return checkApplied(ctx, l, dir)
	}
}

// checkApplied puts the tar together once: for its digest, and to make the tree of it again in dir, but for the
// contents, which the digest covers.
func checkApplied(ctx context.Context, l store.Layer, dir string) error {
	h := sha256.New()
	to, wait := io.Writer(h), func() error { return nil }
	if dir != "" {
		w, w2, err := remake(ctx, dir)
		if err != nil {
			return err
		}
		to, wait = io.MultiWriter(h, w), func() error { w.Close(); return w2() }
	}
	err := Reassemble(ctx, to, l.Dir)
	made := wait()
	if err != nil {
		return err
	}
	want := l.DiffID
	if want == "" {
		want, _ = store.FromHex(l.Name)
	}
	if got := store.FromSum(h.Sum(nil)); want != "" && got != want {
		return &store.DigestError{Want: want, Got: got}
	}
	if dir == "" || made != nil {
		return made
	}
	return sameTree(ctx, l, store.Layer{Dir: dir, FS: filepath.Join(dir, "fs")})
}

// remake applies what is written to w into dir. wait says how that went.
func remake(ctx context.Context, dir string) (w *io.PipeWriter, wait func() error, err error) {
	for _, d := range []string{"fs", "tar"} {
		p := filepath.Join(dir, d)
		if err := errors.Join(os.Mkdir(p, 0o755), os.Chmod(p, 0o755)); err != nil {
			return nil, nil, store.Space(err, "mkdir", p)
		}
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		all := Limits{Entries: math.MaxInt, Bytes: math.MaxInt64, Path: math.MaxInt, Memory: math.MaxInt64}
		_, err := Apply(ctx, r, dir, ApplyOptions{NoSide: true, Limits: all, skeleton: true})
		io.Copy(io.Discard, r) // after an error: the writer must not wait
		done <- err
	}()
	return w, func() error { return <-done }, nil
}

// sameTree compares everything but contents.
func sameTree(ctx context.Context, have, want store.Layer) error {
	// One line of each at a time: a large layer has millions.
	next, stop := iter.Pull2(func(yield func(string, error) bool) {
		err := outline(ctx, want, func(_, line string) error {
			if !yield(line, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield("", err)
		}
	})
	defer stop()
	err := outline(ctx, have, func(path, line string) error {
		w, err, ok := next()
		switch {
		case err != nil:
			return err
		case !ok:
			return &DamageError{path, "it does not belong to the layer"}
		case w != line:
			return &DamageError{path, fmt.Sprintf("it is %q where the layer has %q", line[:len(line)-1], w[:len(w)-1])}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if w, err, ok := next(); err != nil {
		return err
	} else if ok {
		return &DamageError{"", fmt.Sprintf("missing: %q", w[:len(w)-1])}
	}
	return nil
}

func outline(ctx context.Context, l store.Layer, line func(path, line string) error) error {
	owners, err := ReadOwners(l.Dir)
	if err != nil {
		return err
	}
	err = walkTree(ctx, l.FS, PackOptions{Owners: owners}, func(n *node) error {
		if n.kind == 'f' {
			unix.Close(n.fd)
		}
		return line(n.path, string(listLine(&item{node: n})))
	})
	var de *DamageError
	if err != nil && err != errStopped && !errors.As(err, &de) && ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", l.FS, err)
	}
	return err
}
