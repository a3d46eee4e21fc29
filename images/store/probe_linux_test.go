package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// T-82: a file system that lacks something is refused when the store is made, in one sentence that says what, and
// nothing is left there.
func TestFilesystemsThatLackSomething(t *testing.T) {
	base := baseDir(t)
	if err := os.Chmod(base, 0o777); err != nil {
		t.Fatal(err)
	}
	said, err := call(t, "ramfs", job{Dir: base}, false, namespace())
	if err != nil {
		t.Fatal(err)
	}
	if want := "the store is on ramfs, which has no extended attributes of users: images that hide folders of their own lower layers cannot be unpacked there: " + base + "/s"; said != want {
		t.Errorf("ramfs: %s; want %s", said, want)
	}
	for call1, c := range map[int]struct {
		errno unix.Errno
		what  string
	}{
		unix.SYS_FLOCK:     {unix.ENOLCK, "locks that hold between processes"},
		unix.SYS_FCHMODAT:  {unix.EPERM, "modes of files"},
		unix.SYS_SYMLINKAT: {unix.EPERM, "symbolic links"},
		unix.SYS_RENAMEAT:  {unix.ENOSYS, "replacing of a file by another"},
	} {
		said, err := call(t, "without", job{Dir: base + "/" + fmt.Sprint(call1), N: call1, Text: fmt.Sprint(uintptr(c.errno))}, false, nil)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		} else if !strings.Contains(said, "which has no "+c.what+": ") {
			t.Errorf("%s: %s", c.what, said)
		}
	}
	// What was tried is gone, and so is the store itself.
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	// Where nothing is missing nothing is left either, and a folder that cannot be tried says nothing.
	if err := Probe(base); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := Probe(base + "/none"); err != nil {
		t.Error(err)
	}
}

// openOn says how a store in dir cannot be opened.
func openOn(dir string) error {
	_, err := Open(dir, Options{})
	var fe *FilesystemError
	if !errors.As(err, &fe) || len(hint.Of(err)) != 1 {
		return fmt.Errorf("opened: %w", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("something is left: %w", err)
	}
	fmt.Print(err)
	return nil
}

func openOnRamfs(dir string) error {
	if err := unix.Mount("ramfs", dir, "ramfs", 0, ""); err != nil {
		return err
	}
	said := []string{}
	s, err := Open(dir+"/s", Options{Notice: func(line string) { said = append(said, line) }})
	if err != nil {
		return err
	}
	if _, err := Open(s.Dir(), Options{Notice: func(line string) { said = append(said, line) }}); err != nil {
		return err
	}
	fmt.Print(strings.Join(said, "\n")) // once, when it is made
	_, _, err = s.PutBlob(context.Background(), strings.NewReader("x"), "")
	return err
}

// openWithout makes one system call fail as it does on a file system without what it is for.
func openWithout(dir string, call int, errno string) error {
	var e uint32
	if _, err := fmt.Sscan(errno, &e); err != nil {
		return err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(call), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | e}, // SECCOMP_RET_ERRNO
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},     // SECCOMP_RET_ALLOW
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	// SECCOMP_SET_MODE_FILTER for all threads
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, 1, 1, uintptr(unsafe.Pointer(&prog))); e != 0 {
		return e
	}
	return openOn(dir)
}

// T-85: what a newer version has made its own is not touched by this one; what is no format is not guessed at.
func TestFormat(t *testing.T) {
	s := open(t, Options{})
	makeLayer(t, s, "abc", "x")
	s.Close()
	if b, err := os.ReadFile(s.Path("format")); err != nil || string(b) != fmt.Sprintln(Format) {
		t.Fatalf("%q, %v", b, err)
	}
	// A store from before there were numbers gets one.
	if err := os.Remove(s.Path("format")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Dir(), Options{}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.Path("format")); err != nil || string(b) != fmt.Sprintln(Format) {
		t.Errorf("%q, %v", b, err)
	}
	// A newer version leaves things that this one would take for rubbish.
	if err := os.WriteFile(s.Path("format"), fmt.Appendln(nil, Format+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{s.Path(Temp, "of-the-newer"), s.Path("layers-v2")} {
		if err := os.Mkdir(f, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(s.Path(Volumes)); err != nil {
		t.Fatal(err)
	}
	for _, fast := range []bool{false, true} {
		_, err := Open(s.Dir(), Options{Fast: fast, Faults: func(op, path string) error { t.Errorf("%s %s", op, path); return nil }})
		var fe *FormatError
		want := fmt.Sprintf("the store belongs to a newer version of sandbox: it has format %d, this version knows %d: %s", Format+1, Format, s.Dir())
		if !errors.As(err, &fe) || err.Error() != want || len(hint.Of(err)) != 1 {
			t.Errorf("fast %v: %v", fast, err)
		}
	}
	if _, err := os.Lstat(s.Path(Temp, "of-the-newer")); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.Path(Volumes)); err == nil {
		t.Error("a folder was made")
	}
	// In a chain it is only read: folders have versions of their own.
	chained := open(t, Options{Chain: []string{s.Dir()}})
	if _, ok := chained.Layer(context.Background(), "abc"); !ok {
		t.Error("a layer of a newer store in the chain is not seen")
	}
	for _, bad := range []string{"", "two\n", "-1\n", "0\n", "1\n2\n", strings.Repeat("9", 100), "\x00"} {
		if err := os.WriteFile(s.Path("format"), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(s.Dir(), Options{}); err == nil || !strings.Contains(err.Error(), s.Path("format")) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
