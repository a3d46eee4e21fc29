package inject

import (
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree is an image as a folder; links are followed inside it by the kernel, as start does.
type tree struct {
	t   testing.TB
	dir string
}

func newTree(t testing.TB, files map[string]string) *tree {
	t.Helper()
	tr := &tree{t, t.TempDir()}
	for name, content := range files {
		tr.write(name, content)
	}
	return tr
}

// write makes a file; "-> x" makes a link, "/" a folder, "|" a pipe.
func (tr *tree) write(name, content string) {
	tr.t.Helper()
	p := path.Join(tr.dir, name)
	err := os.MkdirAll(path.Dir(p), 0o755)
	if err == nil {
		switch to, isLink := strings.CutPrefix(content, "-> "); {
		case isLink:
			err = os.Symlink(to, p)
		case content == "/":
			err = os.MkdirAll(p, 0o755)
		case content == "|":
			err = unix.Mkfifo(p, 0o644)
		default:
			err = os.WriteFile(p, []byte(content), 0o755)
		}
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) open(name string, flags int) (*os.File, error) {
	root, err := unix.Open(tr.dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, name, &unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// image is the tree with callbacks that do no more than they must: a pipe would hang ReadFile.
func (tr *tree) image(env ...string) Image {
	return Image{
		Env: env,
		ReadFile: func(name string, limit int64) ([]byte, error) {
			f, err := tr.open(name, unix.O_RDONLY)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return io.ReadAll(f)
		},
		Stat: func(name string) (fs.FileInfo, error) {
			f, err := tr.open(name, unix.O_PATH)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return os.Stat("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
		},
		Lstat: func(name string) (fs.FileInfo, error) {
			f, err := tr.open(name, unix.O_PATH|unix.O_NOFOLLOW)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return f.Stat()
		},
		ReadDir: func(name string) ([]fs.DirEntry, error) {
			f, err := tr.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return f.ReadDir(-1)
		},
		Resolve: func(name string) (string, error) {
			f, err := tr.open(name, unix.O_PATH)
			if err != nil {
				return name, nil
			}
			defer f.Close()
			real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
			return "/" + strings.TrimPrefix(strings.TrimPrefix(real, tr.dir), "/"), err
		},
	}
}

// debian is an image as Debian 12 is, in the files that matter here.
func debian(t testing.TB) *tree {
	return newTree(t, map[string]string{
		"usr/lib/x86_64-linux-gnu/libc.so.6":     "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n",
		"usr/lib64/ld-linux-x86-64.so.2":         "linker",
		"lib":                                    "-> usr/lib",
		"lib64":                                  "-> usr/lib64",
		"sbin":                                   "-> usr/sbin",
		"usr/sbin/ldconfig":                      "ldconfig",
		"etc/ld.so.conf":                         "include /etc/ld.so.conf.d/*.conf\n",
		"etc/ld.so.conf.d/libc.conf":             "/usr/local/lib\n",
		"etc/ld.so.conf.d/x86_64-linux-gnu.conf": "/lib/x86_64-linux-gnu\n",
		"etc/passwd":                             "root:x:0:0::/root:/bin/sh\n",
		"usr/share/vulkan/icd.d/lvp_icd.x86_64.json":   "{}",
		"usr/lib/x86_64-linux-gnu/libnothing.so.1.0.0": "x",
		"usr/local/cuda": "-> cuda-12.4",
		"usr/local/cuda-12.4/lib64/stubs/libcuda.so":               "stub",
		"usr/local/cuda-12.4/compat/libcuda.so.550.54.15":          "compat",
		"usr/local/cuda-12.4/compat/libcuda.so.1":                  "-> libcuda.so.550.54.15",
		"usr/local/cuda-12.4/compat/libcuda.so":                    "-> libcuda.so.1",
		"usr/local/cuda-12.4/compat/libnvidia-ptxjitcompiler.so.1": "-> libnvidia-ptxjitcompiler.so.550.54.15",
	})
}
