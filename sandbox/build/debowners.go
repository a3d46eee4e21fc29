package build

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/layer"
)

// Bounds on what packages can make us remember and do.
const (
	maxOwners   = 1_000_000
	maxChownLog = 64 << 20
	maxChowned  = 10_000_000
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
			noteOwner(owners, name, tarOwner{h.Uid, h.Gid, h.Uname, h.Gname})
		}
	}
	return owners
}

// noteOwner keeps an owner who is not root; the last package that has a path counts.
func noteOwner(owners map[string]tarOwner, name string, o tarOwner) {
	switch {
	case len(owners) >= maxOwners: // nothing real has so many
	case o.uid == 0 && o.gid == 0 && root(o.uname) && root(o.gname):
		delete(owners, name)
	default:
		owners[name] = o
	}
}

func root(name string) bool { return name == "" || name == "root" }

// ownerIndex makes a layer's index of owners: only what the layer itself holds counts.
type ownerIndex struct {
	root          *os.Root // the layer's own tree
	tree          *layer.Stack
	users, groups map[string]int
	out           layer.Owners
	left          int // of maxChowned
}

// layerOwners is the index after dpkg ran: what the packages' tars say, then what maintainer scripts
// asked chown for, then dpkg's statoverrides. Names become numbers by the tree's own passwd and group.
func layerOwners(fs string, tree *layer.Stack, tars map[string]tarOwner, chowns []chown) (layer.Owners, error) {
	root, err := os.OpenRoot(fs)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	x := &ownerIndex{root: root, tree: tree, users: ids(tree, "/etc/passwd"), groups: ids(tree, "/etc/group"), out: layer.Owners{}, left: maxChowned}
	for name, o := range tars {
		x.put(x.real(name, true), o)
	}
	for _, c := range chowns {
		for _, p := range c.paths {
			if x.left < 0 {
				return nil, fmt.Errorf("the packages' scripts change the owners of more than %d files", maxChowned)
			}
			c.below(root, x.real(c.absolute(p), c.link), func(name string) { x.put(name, c.owner) })
		}
	}
	x.overrides()
	return x.out, nil
}

// real is where the links of the tree lead a path: lib/x is usr/lib/x. A link at its end is meant
// itself if link is set.
func (x *ownerIndex) real(name string, link bool) string {
	if !link {
		if p, err := x.tree.Resolve("/" + name); err == nil {
			return strings.TrimPrefix(p, "/")
		}
	}
	dir, err := x.tree.Resolve("/" + path.Dir(name))
	if err != nil {
		return name
	}
	return strings.TrimPrefix(path.Join(dir, path.Base(name)), "/")
}

func (x *ownerIndex) put(name string, o tarOwner) {
	if x.left--; x.left < 0 {
		return
	}
	if _, err := x.root.Lstat(name); err != nil {
		return // gone, or in a layer below
	}
	now := x.out[name]
	if o.uid >= 0 {
		now.UID = number(x.users, o.uname, o.uid)
	}
	if o.gid >= 0 {
		now.GID = number(x.groups, o.gname, o.gid)
	}
	if now.UID == 0 && now.GID == 0 {
		delete(x.out, name)
	} else {
		x.out[name] = now
	}
}

func (x *ownerIndex) overrides() {
	text, err := x.tree.ReadFile("/var/lib/dpkg/statoverride", 1<<20)
	if err != nil {
		return // there are none
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		f := strings.SplitN(line, " ", 4) // user group mode path
		if len(f) == 4 && strings.HasPrefix(f[3], "/") {
			x.put(x.real(path.Clean(f[3])[1:], true), tarOwner{uname: f[0], gname: f[1]})
		}
	}
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
