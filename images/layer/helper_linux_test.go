package layer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// The test binary runs itself as another user, and in namespaces: see asUser.
func TestMain(m *testing.M) {
	if h := os.Getenv("LAYER_HELPER"); h != "" {
		if err := helper(h); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	base, err := os.MkdirTemp("", "layer-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer store.RemoveAll(base)
	// Testing's own folders can only be entered by whoever runs the tests.
	err = os.Chmod(base, 0o755)
	self, rerr := os.ReadFile("/proc/self/exe")
	err = errors.Join(err, rerr, os.WriteFile(base+"/helper", self, 0o755), os.Setenv("LAYER_TEST_BASE", base))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// openDir is a fresh folder that the ordinary user can reach.
func openDir(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp(os.Getenv("LAYER_TEST_BASE"), "t-")
	if err == nil {
		err = os.Chmod(d, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, d) })
	return d
}

// An ordinary user without name, groups and privileges.
const ordinary = 54321

func removeAll(t testing.TB, path string) {
	if err := store.RemoveAll(path); err != nil {
		t.Error(err)
	}
}

// asUser runs a helper as the ordinary user if the tests run as root, else as whoever runs them. With
// ns it is root of a user namespace with this single id, and has its own mounts.
func asUser(t testing.TB, ns bool, name string, in any, out any) error {
	t.Helper()
	b, _ := json.Marshal(in)
	c := exec.Command(os.Getenv("LAYER_TEST_BASE") + "/helper")
	c.Env = append(os.Environ(), "LAYER_HELPER="+name)
	c.Stdin = bytes.NewReader(b)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	uid := os.Getuid()
	c.SysProcAttr = &syscall.SysProcAttr{}
	if uid == 0 {
		uid = ordinary
		c.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	}
	if ns {
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		c.SysProcAttr.Credential = &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}
	}
	if err := c.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if out != nil {
		if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
			t.Fatalf("%v: %s", err, stdout.String())
		}
	}
	return nil
}

// give hands a tree to the ordinary user.
func give(t testing.TB, paths ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	for _, p := range paths {
		err := filepath.WalkDir(p, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, ordinary, ordinary))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

type applyJob struct {
	Dir   string
	Tar   []byte
	Umask int
}

type lookJob struct {
	Trees []string // fs/ folders, bottom first
	Mount string
}

// helper reads its input, does what it is called for and writes what it found.
func helper(name string) error {
	var j struct {
		applyJob
		lookJob
		upperJob
	}
	var path string
	in := json.NewDecoder(os.Stdin)
	var out any
	var err error
	switch name {
	case "apply":
		if err = in.Decode(&j.applyJob); err == nil {
			out, err = applyAndBack(j.applyJob)
		}
	case "early":
		var e earlyJob
		if err = in.Decode(&e); err == nil {
			out, err = e.work()
		}
	case "full":
		if err = in.Decode(&j.applyJob); err == nil {
			out, err = applyToFullDisk(j.applyJob)
		}
	case "ramfs":
		if err = in.Decode(&j.applyJob); err == nil {
			out, err = applyWithoutAttributes(j.applyJob)
		}
	case "old":
		if err = in.Decode(&j.applyJob); err == nil {
			if err = denyOpenat2(); err == nil {
				out, err = applyAndBack(j.applyJob)
			}
		}
	case "look":
		if err = in.Decode(&j.lookJob); err == nil {
			out, err = mountAndLook(j.lookJob)
		}
	case "upper":
		if err = in.Decode(&j.upperJob); err == nil {
			out, err = j.upperJob.work()
		}
	case "clean":
		if err = in.Decode(&path); err == nil {
			err = CleanUpper(path)
		}
	case "remove":
		if err = in.Decode(&path); err == nil {
			err = store.RemoveAll(path)
		}
	case "check", "readers", "while-lent", "kill-any", "stopped", "no-room":
		var l store.Layer
		if err = in.Decode(&l); err == nil {
			err = map[string]func(store.Layer) error{
				"check":   func(l store.Layer) error { return check(context.Background(), l) },
				"readers": manyReaders, "while-lent": readWhileLent, "kill-any": killAny, "stopped": waitForStopped, "no-room": noRoom,
			}[name](l)
		}
	case "pack":
		if err = in.Decode(&path); err == nil {
			out, err = DiffID(context.Background(), path, PackOptions{})
		}
	default:
		err = fmt.Errorf("no helper %q", name)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func applyAndBack(j applyJob) (Info, error) {
	syscall.Umask(j.Umask)
	info, err := Apply(context.Background(), bytes.NewReader(j.Tar), j.Dir, ApplyOptions{})
	if err != nil {
		return info, err
	}
	var back bytes.Buffer
	if err := Reassemble(context.Background(), &back, j.Dir); err != nil {
		return info, err
	}
	if !bytes.Equal(back.Bytes(), j.Tar) {
		return info, errors.New("reassembled bytes differ")
	}
	return info, nil
}

// denyOpenat2 makes this process one on an old kernel.
func denyOpenat2() error {
	const errno = 0x00050000 // SECCOMP_RET_ERRNO
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_OPENAT2, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: errno | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000}, // SECCOMP_RET_ALLOW
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
	if _, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{}); err != unix.ENOSYS {
		return fmt.Errorf("openat2 still works: %v", err)
	}
	return nil
}

// applyToFullDisk says how it failed.
func applyToFullDisk(j applyJob) (string, error) {
	if err := unix.Mount("tmpfs", j.Dir, "tmpfs", 0, "size=2m,nr_inodes=2000"); err != nil {
		return "", err
	}
	for _, d := range []string{"/fs", "/tar"} {
		if err := os.Mkdir(j.Dir+d, 0o755); err != nil {
			return "", err
		}
	}
	_, err := Apply(context.Background(), bytes.NewReader(j.Tar), j.Dir, ApplyOptions{})
	var se *store.SpaceError
	if errors.As(err, &se) && !se.Quota {
		return "SpaceError " + err.Error(), nil
	}
	return fmt.Sprint(err), nil
}

// applyWithoutAttributes says what is said on a file system that has none.
func applyWithoutAttributes(j applyJob) (string, error) {
	if err := unix.Mount("ramfs", j.Dir, "ramfs", 0, ""); err != nil {
		return "", err
	}
	for _, d := range []string{"/fs", "/tar"} {
		if err := os.Mkdir(j.Dir+d, 0o755); err != nil {
			return "", err
		}
	}
	_, err := Apply(context.Background(), bytes.NewReader(j.Tar), j.Dir, ApplyOptions{})
	return fmt.Sprint(err, hint.Of(err)), nil
}

// mountAndLook stacks the trees as the runtime does and describes what it sees.
func mountAndLook(j lookJob) (map[string]string, error) {
	lower := ""
	for _, tree := range j.Trees {
		lower = tree + ":" + lower
		if OpaqueRoot(tree) {
			lower = tree + ":"
		}
	}
	empty := j.Mount + ".empty"
	if err := os.Mkdir(empty, 0o755); err != nil { // an overlay without upper needs two lowers
		return nil, err
	}
	lower += empty
	if err := unix.Mount("overlay", j.Mount, "overlay", 0, "userxattr,lowerdir="+lower); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	defer unix.Unmount(j.Mount, unix.MNT_DETACH)
	return describe(j.Mount)
}

// describe gives each path of a tree a line: type, mode, and contents or target.
func describe(root string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		fi, err := d.Info()
		if err != nil {
			return err
		}
		body := ""
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			body = string(b)
		case fi.Mode()&fs.ModeSymlink != 0:
			body, _ = os.Readlink(path)
		}
		out[rel] = line(fi, body)
		return nil
	})
	return out, err
}

func line(fi fs.FileInfo, body string) string {
	m := fi.Sys().(*syscall.Stat_t).Mode
	switch m & syscall.S_IFMT {
	case syscall.S_IFREG:
		return fmt.Sprintf("f %04o %s", m&0o7777, body)
	case syscall.S_IFDIR:
		return fmt.Sprintf("d %04o", m&0o7777)
	case syscall.S_IFLNK:
		return "l " + body
	case syscall.S_IFIFO:
		return fmt.Sprintf("p %04o", m&0o7777)
	case syscall.S_IFCHR:
		return "c"
	}
	return "?"
}

// describeStack is describe for a Stack.
func describeStack(s *Stack) (map[string]string, error) {
	out := map[string]string{}
	var walk func(path string) error
	walk = func(path string) error {
		fi, err := s.Lstat(path)
		if err != nil {
			return err
		}
		body := ""
		switch {
		case fi.Mode().IsRegular():
			b, err := s.ReadFile(path, 1<<20)
			if err != nil {
				return err
			}
			body = string(b)
		case fi.Mode()&fs.ModeSymlink != 0:
			if body, err = s.Readlink(path); err != nil {
				return err
			}
		}
		out[filepath.Clean("."+path)] = line(fi, body)
		if !fi.IsDir() {
			return nil
		}
		entries, err := s.ReadDir(path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := walk(strings.TrimSuffix(path, "/") + "/" + e.Name()); err != nil {
				return err
			}
		}
		return nil
	}
	err := walk("/")
	return out, err
}
