package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Layer is one unpacked layer. It is complete: see the package's promises.
type Layer struct {
	Name   string // hex of its diffID, or of its build key
	Dir    string // the folder with fs/ and tar/
	FS     string // the tree itself
	DiffID Digest // "" as long as nobody has computed it
}

// The diffID and the digest of the file list are symbolic links: one system call to read, and replaced
// whole.
const (
	diffIDLink = "diffid"
	filesLink  = "files"
)

// Layer finds a finished layer, and leases it: it stays as long as this Store is open, whatever gc does
// meanwhile.
func (s *Store) Layer(ctx context.Context, name string) (Layer, bool) {
	s.leaseQuietly(ctx, KindLayer, name)
	dir, ok := s.findTree(KindLayer, name)
	if !ok {
		return Layer{}, false
	}
	return layerAt(name, dir), true
}

func layerAt(name, dir string) Layer {
	l := Layer{Name: name, Dir: dir, FS: dir + "/fs"}
	if t, err := os.Readlink(dir + "/" + diffIDLink); err == nil {
		l.DiffID, _ = ParseDigest(t)
	}
	return l
}

// Files is the digest of the layer's file list that was noted with [Store.SetFiles], or "".
func (l Layer) Files() Digest {
	t, _ := os.Readlink(l.Dir + "/" + filesLink)
	d, _ := ParseDigest(t)
	return d
}

// MakeLayer returns the layer called name and makes it if no store of the chain has it. fill gets a
// fresh folder with an empty fs/ (0755) and tar/; what it leaves there is synced and becomes the layer.
// One maker at a time works on a name, over all processes; the others wait and get made == false.
// If fill fails its folder is removed, its error comes back as it is, and the next waiter tries.
func (s *Store) MakeLayer(ctx context.Context, name string, fill func(dir string) error) (l Layer, made bool, err error) {
	filling := false
	dir, made, err := s.makeTree(ctx, KindLayer, name, func(dir string) error {
		for _, sub := range []string{"fs", "tar"} {
			p := filepath.Join(dir, sub)
			// Chmod, for the umask: this is the root folder of a container.
			err := s.step("mkdir", p, func() error { return errors.Join(os.Mkdir(p, 0o755), os.Chmod(p, 0o755)) })
			if err != nil {
				return err
			}
		}
		filling = true
		err := fill(dir)
		filling = err != nil
		return err
	})
	if filling {
		return Layer{}, false, err
	} else if err != nil {
		return Layer{}, false, fmt.Errorf("layer %s: %w", short(name), err)
	}
	return layerAt(name, dir), made, nil
}

// Wheel finds an unpacked wheel by the sha256 (hex) of its file, and leases it.
func (s *Store) Wheel(ctx context.Context, sha string) (dir string, ok bool) {
	s.leaseQuietly(ctx, KindWheel, sha)
	return s.findTree(KindWheel, sha)
}

// MakeWheel is [Store.MakeLayer] for wheels; fill gets an empty folder.
func (s *Store) MakeWheel(ctx context.Context, sha string, fill func(dir string) error) (dir string, made bool, err error) {
	dir, made, err = s.makeTree(ctx, KindWheel, sha, fill)
	if err != nil {
		err = fmt.Errorf("wheel %s: %w", short(sha), err)
	}
	return dir, made, err
}

func short(name string) string { return name[:min(12, len(name))] }

// treeFolder is where things of a kind lie.
func treeFolder(kind Kind) string {
	if kind == KindWheel {
		return Wheels
	}
	return Layers
}

// findTree finds a folder that is whole.
func (s *Store) findTree(kind Kind, name string) (string, bool) {
	if checkName(name) != nil {
		return "", false
	}
	for dir := range s.each {
		p := dir + "/" + treeFolder(kind) + "/" + name
		if fi, err := os.Lstat(p); err == nil && fi.IsDir() && whole(kind, p) {
			return p, true
		}
	}
	return "", false
}

func (s *Store) makeTree(ctx context.Context, kind Kind, name string, fill func(dir string) error) (string, bool, error) {
	if err := checkName(name); err != nil {
		return "", false, err
	}
	s.leaseQuietly(ctx, kind, name)
	if p, ok := s.findTree(kind, name); ok {
		return p, false, nil
	}
	l, err := s.lockName(ctx, string(kind)+"."+name, string(kind)+" "+name)
	if err != nil {
		return "", false, err
	}
	defer l.release()
	if p, ok := s.findTree(kind, name); ok {
		return p, false, nil
	}
	final := s.Path(treeFolder(kind), name)
	if err := s.makeWay(candidate{kind: kind, name: name, path: final}); err != nil {
		return "", false, err
	}
	t, err := s.tempDir(string(kind) + "-" + name)
	if err != nil {
		return "", false, err
	}
	defer func() {
		if ctx.Err() != nil {
			t.closeSoon()
		} else {
			t.close()
		}
	}()
	if err := fill(t.path); err != nil {
		return "", false, Space(err, "write", t.path)
	}
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	if err := s.noteWhole(kind, t.path); err != nil {
		return "", false, err
	}
	if err := s.finish(t, final); err != nil {
		return "", false, err
	}
	return final, true, nil
}

// finish makes the folder t durable, then gives it its name.
func (s *Store) finish(t *temp, final string) error {
	if err := s.step("chmod", t.path, func() error { return os.Chmod(t.path, 0o755) }); err != nil {
		return err
	}
	if err := s.step("sync", t.path, func() error { return syncTree(t.lock) }); err != nil {
		return err
	}
	if err := s.rename(t.path, final); err != nil {
		return err
	}
	return s.syncDir(filepath.Dir(final))
}

// checkName keeps names from being paths.
func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= 128 && name[0] != '.' && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
	if !ok {
		return fmt.Errorf("not a name for the store: %q", name)
	}
	return nil
}

// SetDiffID notes the diffID of a layer of the own store.
func (s *Store) SetDiffID(name string, d Digest) error { return s.setLink(name, diffIDLink, d, "") }

// SetFiles notes the digest of a built layer's file list, which [Store.Verify] compares.
func (s *Store) SetFiles(name string, d Digest) error { return s.setLink(name, filesLink, d, "") }

// NoteDiffID is SetDiffID for a layer that is being made: dir is what fill was given.
func NoteDiffID(dir string, d Digest) error { return os.Symlink(string(d), dir+"/"+diffIDLink) }

func (s *Store) setLink(name, link string, d Digest, more string) error {
	text := string(d) + more
	if err := checkName(name); err != nil {
		return err
	}
	if d.Hex() == "" {
		return fmt.Errorf("not a sha256 digest: %q", string(d))
	}
	dir := s.Path(Layers, name)
	if t, err := os.Readlink(dir + "/" + link); err == nil && t == text {
		return nil
	}
	if _, err := os.Lstat(dir); err != nil {
		if _, ok := s.findTree(KindLayer, name); ok {
			return fmt.Errorf("layer %s is in a chained store: %w", short(name), ErrReadOnly)
		}
		return fmt.Errorf("layer %s: %w", short(name), ErrNotFound)
	}
	t, err := s.tempDir(link)
	if err != nil {
		return err
	}
	defer t.close()
	tmp := t.path + "/" + link
	if err := s.step("symlink", tmp, func() error { return os.Symlink(text, tmp) }); err != nil {
		return err
	}
	if err := s.rename(tmp, dir+"/"+link); err != nil {
		return err
	}
	return s.syncDir(dir)
}
