package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// namespace makes whoever runs the helper root of a user namespace with mounts of its own.
func namespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// T-82: file systems without locks are refused, with the way out.
func TestFilesystems(t *testing.T) {
	for magic, name := range map[int64]string{0x6969: "NFS", 0x01021997: "9p", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0xff534d42: "SMB", -0xacb2be: "SMB", 0xfe534d42: "SMB"} {
		err := checkFilesystem("/p", magic)
		var fe *FilesystemError
		if !errors.As(err, &fe) || fe.Type != name || !strings.Contains(strings.Join(hint.Of(err), ""), "SANDBOX_STORE") {
			t.Errorf("%#x: %v", magic, err)
		}
	}
	for _, magic := range []int64{0xef53, 0x01021994, 0x58465342, 0x9123683e, 0x794c7630, 0x65735546} {
		if err := checkFilesystem("/p", magic); err != nil {
			t.Errorf("%#x: %v", magic, err)
		}
	}
	if _, err := Open("/proc/self/none", Options{}); err == nil {
		t.Error("a store in /proc")
	}
}

// T-26: a folder of the store on another device is noticed at once.
func TestFoldersOnAnotherDevice(t *testing.T) {
	s := open(t, Options{})
	s.Close()
	if _, err := call(t, "mounts", job{Dir: s.Dir()}, false, namespace()); err != nil {
		t.Error(err)
	}
}

func otherDevice(dir string) error {
	if err := unix.Mount("tmpfs", dir+"/"+Layers, "tmpfs", 0, ""); err != nil {
		return err
	}
	_, err := Open(dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "another file system") {
		return fmt.Errorf("opened with: %w", err)
	}
	return nil
}

// T-19 with a disk that is really full.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if _, err := call(t, "full", job{Dir: dir}, false, namespace()); err != nil {
		t.Error(err)
	}
}

func fullDisk(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return err
	}
	s, err := Open(dir+"/s", Options{})
	if err != nil {
		return err
	}
	big := strings.Repeat("x", 1<<20)
	d := DigestOf([]byte(big))
	_, _, err = s.PutBlob(context.Background(), strings.NewReader(big), "")
	var se *SpaceError
	if !errors.As(err, &se) || se.Quota || se.Need <= 0 {
		return fmt.Errorf("a full disk: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=4m"); err != nil {
		return err
	}
	if _, _, err := s.PutBlob(context.Background(), strings.NewReader(big), ""); err != nil {
		return fmt.Errorf("with more room: %w", err)
	}
	if !s.HasBlob(context.Background(), d, 1<<20) {
		return errors.New("it is not there")
	}
	return nil
}

// T-81: a store of somebody else, and one in a chain, can be read, used and not changed.
func TestReadOnlyStore(t *testing.T) {
	dir := baseDir(t) + "/shared"
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := put(t, s, "hello")
	makeLayer(t, s, "abc", "x")
	if err := s.PutImage(ImageRecord{Ref: "r", Manifest: d, Config: d}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if os.Getuid() != 0 { // then the user of the helper is ourselves
		defer chmodAll(t, dir, false)
		chmodAll(t, dir, true)
	} else if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, "read", job{Dir: dir, Name: "abc", Text: string(d)}, true, nil); err != nil {
		t.Error(err)
	}
	own := baseDir(t)
	os.Chmod(own, 0o777)
	if _, err := call(t, "read", job{Dir: own + "/own", Chain: []string{dir, "/none"}, Name: "abc", Text: string(d)}, true, nil); err != nil {
		t.Errorf("in a chain: %v", err)
	}
}

func chmodAll(t *testing.T, dir string, off bool) {
	filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if e.IsDir() {
			if off {
				return os.Chmod(p, 0o555)
			}
			return os.Chmod(p, 0o755)
		}
		return nil
	})
}

// readOnlyUse is done by the helper: on a read-only store of its own, or with one in its chain.
func readOnlyUse(s *Store, name string, d Digest) error {
	if !s.HasBlob(context.Background(), d, 5) {
		return errors.New("the blob is not seen")
	}
	f, err := s.OpenBlob(context.Background(), d)
	if err != nil {
		return err
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "hello" {
		return fmt.Errorf("blob %q: %w", b, err)
	}
	if _, err := s.NewBlob(context.Background(), d, 5); err == nil || !errors.Is(err, ErrExists) && !errors.Is(err, ErrReadOnly) {
		return fmt.Errorf("a blob that is there: %w", err)
	}
	l, made, err := s.MakeLayer(context.Background(), name, func(string) error { return errors.New("made again") })
	if err != nil || made {
		return fmt.Errorf("a layer that is there: %w", err)
	}
	if _, err := os.ReadFile(l.FS + "/file"); err != nil {
		return err
	}
	release, err := s.Use(name)
	if err != nil {
		return err
	}
	defer release()
	if images, err := s.Images(); err != nil || len(images) != 1 {
		return fmt.Errorf("images %v: %w", images, err)
	}
	if err := s.SetDiffID(name, d); !errors.Is(err, ErrReadOnly) {
		return fmt.Errorf("SetDiffID: %w", err)
	}
	_, _, err = s.PutBlob(context.Background(), strings.NewReader("new"), "")
	if len(s.o.Chain) > 0 {
		return err
	}
	if !errors.Is(err, ErrReadOnly) || len(hint.Of(err)) == 0 {
		return fmt.Errorf("PutBlob: %w", err)
	}
	if _, _, err := s.MakeLayer(context.Background(), "new", func(string) error { return nil }); !errors.Is(err, ErrReadOnly) {
		return fmt.Errorf("MakeLayer: %w", err)
	}
	return nil
}

// A folder with nothing but blobs is a download cache.
func TestDownloadCache(t *testing.T) {
	cache := open(t, Options{})
	d := put(t, cache, "cached")
	cache.Close()
	dir := t.TempDir()
	if err := os.Rename(cache.Path("blobs-v1"), dir+"/blobs-v1"); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Chain: []string{dir}})
	if !s.HasBlob(context.Background(), d, 6) {
		t.Error("not seen")
	}
	if p, err := s.BlobPath(context.Background(), d); err != nil || !strings.HasPrefix(p, dir) {
		t.Errorf("%s, %v", p, err)
	}
	if _, err := s.NewBlob(context.Background(), d, 6); !errors.Is(err, ErrExists) {
		t.Errorf("%v", err)
	}
	if s.HasBlob(context.Background(), d, 7) {
		t.Error("a wrong size is believed")
	}
	if !s.HasBlob(context.Background(), d, 6) {
		t.Error("a chained blob was removed")
	}
}

// T-83: any path will do.
func TestPaths(t *testing.T) {
	base := t.TempDir()
	if err := os.Mkdir(base+"/real", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", base+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"with space", "a:b,c", `back\slash`, "link/below", strings.Repeat("l", 200), "new\nline", "umlaut-ä"} {
		s, err := Open(filepath.Join(base, name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := put(t, s, "x")
		makeLayer(t, s, "abc", "of abc")
		if !s.HasBlob(context.Background(), d, 1) {
			t.Errorf("%q: not there", name)
		}
		if damage, err := s.Verify(context.Background(), VerifyOptions{}); err != nil || len(damage) > 0 {
			t.Errorf("%q: %v, %v", name, damage, err)
		}
		s.Close()
	}
	if err := os.WriteFile(base+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(base+"/file", Options{}); err == nil {
		t.Error("a file is no store")
	}
}

// The fast way in looks at nothing but the folder itself.
func TestFastOpen(t *testing.T) {
	dir := t.TempDir() + "/s"
	if _, err := Open(dir, Options{Fast: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no store: %v", err)
	}
	slow, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	makeLayer(t, slow, "abc", "x")
	if err := os.Mkdir(slow.Path(Temp, "stale"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{Fast: true, Faults: func(op, path string) error { t.Errorf("%s %s", op, path); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Layer(context.Background(), "abc"); !ok {
		t.Error("a layer is not seen")
	}
	if _, err := os.Stat(s.Path(Temp, "stale")); err != nil {
		t.Error("the fast way cleans up")
	}
	if _, err := Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Path(Temp, "stale")); err == nil {
		t.Error("the slow way does not")
	}
}

func BenchmarkOpenFast(b *testing.B) {
	dir := b.TempDir() + "/s"
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := s.MakeLayer(context.Background(), "abc", func(string) error { return nil }); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(dir, Options{Fast: true})
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := s.Layer(context.Background(), "abc"); !ok {
			b.Fatal("no layer")
		}
	}
}

// T-12, T-13: folders without rights, deep ones, and links, which are not followed.
func TestRemoveAll(t *testing.T) {
	base := baseDir(t)
	if err := os.WriteFile(base+"/canary", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree := base + "/tree"
	for _, d := range []string{"", "/a", "/a/b", "/closed", "/closed/in", "/noexec", "/noexec/in"} {
		if err := os.Mkdir(tree+d, 0o755); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(tree+d+"/f", []byte("x"), 0)
		os.Symlink("../..", tree+d+"/link")
		os.Symlink(base, tree+d+"/abs")
	}
	dir, err := os.Open(tree)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(dir.Fd())
	for range 5000 { // far beyond what a path can name
		if err := unix.Mkdirat(fd, "d", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if fd != int(dir.Fd()) {
			unix.Close(fd)
		}
		fd = next
	}
	unix.Close(fd)
	dir.Close()
	if os.Getuid() == 0 {
		for _, d := range []string{"", "/a", "/a/b", "/closed", "/closed/in", "/noexec", "/noexec/in"} {
			os.Chown(tree+d, ordinary, ordinary)
		}
		chownDeep(t, tree)
		os.Chown(base, ordinary, ordinary)
	}
	os.Chmod(tree+"/closed/in", 0)
	os.Chmod(tree+"/closed", 0)
	os.Chmod(tree+"/noexec", 0o600)
	if _, err := call(t, "remove", job{Dir: tree}, true, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(tree); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(base + "/canary"); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
	if err := RemoveAll(tree); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	if err := RemoveAll(base + "/none/below"); err != nil {
		t.Errorf("not even its folder is there: %v", err)
	}
}

// chownDeep gives the chain of folders called d away.
func chownDeep(t *testing.T, tree string) {
	fd, err := unix.Open(tree, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	for err == nil {
		var next int
		next, err = unix.Openat(fd, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		unix.Close(fd)
		if err == nil {
			if err := unix.Fchown(next, ordinary, ordinary); err != nil {
				t.Fatal(err)
			}
			fd = next
		}
	}
}
