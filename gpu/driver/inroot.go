package driver

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/internal/smallfile"
)

// maxLinks is how many symbolic links the kernel follows in one path.
const maxLinks = 40

// inRoot says where a path leads when root is the root folder: links, absolute ones too, stay below it.
// The result is a path of the host without links. A path that does not exist is fs.ErrNotExist.
func inRoot(root, name string) (string, error) {
	done, rest := "/", path.Clean("/"+name)
	for links := 0; rest != "/" && rest != ""; {
		first, tail, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		rest = tail
		switch first {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, first)
		fi, err := os.Lstat(path.Join(root, next))
		if err != nil {
			return "", err
		}
		if fi.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: syscall.ELOOP}
		}
		to, err := os.Readlink(path.Join(root, next))
		if err != nil {
			return "", err
		}
		if path.IsAbs(to) {
			done = "/"
		}
		rest = to + "/" + rest
	}
	return path.Join(root, done), nil
}

// within gives the path below root of a path of the host that lies there.
func within(root, name string) string {
	if root == "/" {
		return name
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(name, root), "/")
}

// names lists a folder; nil if it cannot be read.
func names(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	list, _ := f.Readdirnames(maxNames)
	return list
}

// maxNames bounds what is read of one folder: /usr/lib/x86_64-linux-gnu of a full desktop has 8000.
const maxNames = 100_000

// readSmall reads a file of proc or sys, whose size says nothing, and of at most 64 KiB.
func readSmall(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	n := 0
	for n < len(b) {
		m, err := f.Read(b[n:])
		n += m
		if err != nil || m == 0 {
			break
		}
	}
	if n == len(b) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("larger than 64 KiB")}
	}
	return b[:n], nil
}

// regular is fs.FileInfo of a regular file.
func regular(name string) (fs.FileInfo, bool) {
	fi, err := os.Lstat(name)
	return fi, err == nil && fi.Mode().IsRegular()
}

func readCache(name string) []byte {
	b, err := smallfile.Read(name)
	if err != nil {
		return nil
	}
	return b
}
