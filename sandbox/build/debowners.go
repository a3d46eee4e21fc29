package build

import (
	"archive/tar"
	"bufio"
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/layer"
)

// tarOwner is an owner as a tar has it.
type tarOwner struct {
	uid, gid     int
	uname, gname string
}

// ownerWatch reads every data.tar that dpkg unpacks, from a fifo, and remembers what does not belong
// to root. Close it when dpkg has ended.
type ownerWatch struct {
	path  string
	write *os.File // keeps the fifo open between packages
	done  chan map[string]tarOwner
}

func watchOwners(dir string) (*ownerWatch, error) {
	w := &ownerWatch{path: filepath.Join(dir, "tars"), done: make(chan map[string]tarOwner, 1)}
	if err := unix.Mkfifo(w.path, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: w.path, Err: err}
	}
	r, err := os.OpenFile(w.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if w.write, err = os.OpenFile(w.path, os.O_WRONLY|unix.O_NONBLOCK, 0); err != nil {
		r.Close()
		return nil, err
	}
	go func() {
		defer r.Close()
		w.done <- readTars(r)
	}()
	return w, nil
}

// Close gives the owners by path, as the tars name it.
func (w *ownerWatch) Close() map[string]tarOwner {
	w.write.Close()
	owners := <-w.done
	os.Remove(w.path)
	return owners
}

// readTars reads tar after tar to the end. It must take everything that comes, else dpkg would wait.
func readTars(r io.Reader) map[string]tarOwner {
	owners := map[string]tarOwner{}
	br := bufio.NewReaderSize(r, 1<<17)
	zero := make([]byte, 512)
	for {
		b, err := br.Peek(512)
		if err != nil {
			break
		}
		if bytes.Equal(b, zero) { // what fills the last record of the tar before
			br.Discard(512)
			continue
		}
		tr := tar.NewReader(br)
		for {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				io.Copy(io.Discard, br)
				return owners
			}
			name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
			if h.Uid == 0 && h.Gid == 0 && root(h.Uname) && root(h.Gname) {
				delete(owners, name)
				continue
			}
			owners[name] = tarOwner{h.Uid, h.Gid, h.Uname, h.Gname}
		}
	}
	return owners
}

func root(name string) bool { return name == "" || name == "root" }

// layerOwners turns owners by name into the layer's index: names to numbers by the tree's own passwd
// and group, paths to where the links of the tree lead them (lib/x is usr/lib/x), and dpkg's
// statoverrides on top. Only what the layer itself holds counts.
func layerOwners(fs string, tree *layer.Stack, owners map[string]tarOwner) layer.Owners {
	users, groups := ids(tree, "/etc/passwd"), ids(tree, "/etc/group")
	out := layer.Owners{}
	put := func(name string, o tarOwner) {
		dir, err := tree.Resolve("/" + path.Dir(name))
		if err != nil {
			return
		}
		real := strings.TrimPrefix(path.Join(dir, path.Base(name)), "/")
		if _, err := os.Lstat(filepath.Join(fs, real)); err != nil {
			return
		}
		uid, gid := number(users, o.uname, o.uid), number(groups, o.gname, o.gid)
		if uid == 0 && gid == 0 {
			delete(out, real)
		} else {
			out[real] = layer.Owner{UID: uid, GID: gid}
		}
	}
	for name, o := range owners {
		put(name, o)
	}
	overrides, err := tree.ReadFile("/var/lib/dpkg/statoverride", 1<<20)
	if err != nil {
		return out // there are none
	}
	for line := range strings.SplitSeq(string(overrides), "\n") {
		f := strings.SplitN(line, " ", 4) // user group mode path
		if len(f) == 4 && strings.HasPrefix(f[3], "/") {
			put(path.Clean(f[3])[1:], tarOwner{uname: f[0], gname: f[1]})
		}
	}
	return out
}

// ids reads name → number from a file like passwd.
func ids(tree *layer.Stack, file string) map[string]int {
	out := map[string]int{}
	b, err := tree.ReadFile(file, 16<<20)
	if err != nil {
		return out // an image need not have one: then numbers count
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		f := strings.Split(line, ":")
		if len(f) < 3 {
			continue
		}
		if n, err := strconv.Atoi(f[2]); err == nil && n >= 0 {
			out[f[0]] = n
		}
	}
	return out
}

// number prefers the name, as dpkg does; "#7" is a number in a statoverride.
func number(names map[string]int, name string, n int) int {
	if m, ok := names[name]; ok {
		return m
	}
	if m, err := strconv.Atoi(strings.TrimPrefix(name, "#")); err == nil && m >= 0 && strings.HasPrefix(name, "#") {
		return m
	}
	return n
}
