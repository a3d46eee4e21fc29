package cdi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// at is where a path of the host lies below the roots.
func (o Options) at(p string) string {
	for _, r := range []struct{ prefix, root string }{{"/dev", o.Roots.Dev}, {"/proc", o.Roots.Proc}, {"/sys", o.Roots.Sys}} {
		if within(p, r.prefix) && r.root != "" {
			return filepath.Join(r.root, p[len(r.prefix):])
		}
	}
	return filepath.Join(o.Roots.FS, p)
}

// maxLinks is how many links the kernel follows in one path.
const maxLinks = 40

// resolve follows the links of a host path, as seen from the roots: it never leaves them. It gives the
// path without links and what lies there.
func (o Options) resolve(p string) (string, fs.FileInfo, error) {
	todo := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	done, links := "/", 0
	fi, err := o.lstat(o.at("/"))
	for len(todo) > 0 && err == nil {
		var next string
		next, todo = todo[0], todo[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			fi, err = o.lstat(o.at(done))
			continue
		}
		p := path.Join(done, next)
		if fi, err = o.lstat(o.at(p)); err != nil {
			break
		}
		if fi.Mode()&fs.ModeSymlink == 0 {
			if done = p; len(todo) > 0 && !fi.IsDir() {
				err = errNotFolder
			}
			continue
		}
		if links++; links > maxLinks {
			return "", nil, errors.New("too many links")
		}
		var to string
		if to, err = os.Readlink(o.at(p)); err != nil {
			break
		}
		if path.IsAbs(to) {
			done = "/"
		}
		todo = append(strings.Split(to, "/"), todo...)
	}
	if err != nil {
		return "", nil, err
	}
	return done, fi, nil
}

var errNotFolder = errors.New("not a folder")

// hostPath is a clean absolute path of the host as a description may name it. The whole of the host, and
// /proc, from which everything of the host can be reached, are nothing that a device needs.
func hostPath(p string) (string, error) {
	if err := plain(p); err != nil {
		return "", err
	}
	p = path.Clean(p)
	if p == "/" || within(p, "/proc") {
		return "", fmt.Errorf("no device needs this of the host: %s", p)
	}
	return p, nil
}

// target is a clean absolute path in a sandbox where something of a device may lie.
func target(p string) (string, error) {
	if err := plain(p); err != nil {
		return "", err
	}
	p = path.Clean(p)
	for _, own := range []string{"/proc", "/sys", "/run/sandbox", "/var/run/sandbox", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd"} {
		if within(p, own) {
			return "", fmt.Errorf("nothing of a device may lie in the sandbox's own %s: %s", own, p)
		}
		if within(own, p) {
			return "", fmt.Errorf("it would hide the sandbox's own %s: %s", own, p)
		}
	}
	switch p {
	case "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/console",
		"/dev/stdin", "/dev/stdout", "/dev/stderr":
		return "", fmt.Errorf("every sandbox has its own %s", p)
	}
	return p, nil
}

// plain tells what is wrong with a path before it is cleaned.
func plain(p string) error {
	switch {
	case len(p) > 4095:
		return errors.New("a path longer than the kernel takes")
	case strings.ContainsFunc(p, control):
		return fmt.Errorf("control characters in a path: %s", printable(p))
	case !path.IsAbs(p):
		return fmt.Errorf("not an absolute path: %s", printable(p))
	}
	return nil
}

// within tells whether a clean path is dir or below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
