package build

import (
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// chownScript stands before chown and chgrp in PATH: under a single id they succeed without doing
// anything, so what a maintainer script asked for is written down.
const chownScript = `#!/bin/sh
printf '%s\0' "${0##*/}" "$PWD" "$#" "$@" >>` + chownsInside + `
exec /bin/"${0##*/}" "$@"
`

const chownsInside = BoxRun + "/chowns"

// chown is one call of chown or chgrp.
type chown struct {
	dir       string
	recursive bool
	link      bool     // a link itself, not what it leads to
	owner     tarOwner // uid or gid -1: not changed
	paths     []string
}

// readChowns reads the log, which scripts could have filled with anything.
func readChowns(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxChownLog))
	return string(b), err
}

// parseChowns reads what chownScript wrote. What it does not understand it leaves out.
func parseChowns(log string) []chown {
	words := strings.Split(log, "\x00")
	var out []chown
	for len(words) > 3 {
		name, dir := words[0], words[1]
		n, ok := digitsOnly(words[2])
		words = words[3:]
		if !ok || n > len(words) {
			return out
		}
		args := words[:n]
		words = words[n:]
		if c, ok := parseChown(name, args); ok {
			c.dir = dir
			out = append(out, c)
		}
	}
	return out
}

func digitsOnly(s string) (int, bool) {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' || n > 1<<20 {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, s != ""
}

func parseChown(name string, args []string) (c chown, ok bool) {
	var words []string
	for i, a := range args {
		switch {
		case a == "--":
			words = append(words, args[i+1:]...)
		case strings.HasPrefix(a, "--from") || strings.HasPrefix(a, "--reference"):
			return c, false // depends on owners that only a real file system has
		case a == "--recursive":
			c.recursive = true
		case a == "--no-dereference":
			c.link = true
		case strings.HasPrefix(a, "--"):
		case strings.HasPrefix(a, "-") && len(a) > 1:
			c.recursive = c.recursive || strings.Contains(a, "R")
			c.link = c.link || strings.Contains(a, "h")
		default:
			words = append(words, a)
		}
		if a == "--" {
			break
		}
	}
	if len(words) < 2 {
		return c, false
	}
	c.owner = ownerSpec(words[0], name == "chgrp")
	c.paths = words[1:]
	return c, true
}

// ownerSpec reads USER, USER:GROUP, USER: or :GROUP; the old USER.GROUP too.
func ownerSpec(spec string, group bool) tarOwner {
	o := tarOwner{uid: -1, gid: -1}
	if group {
		o.gname, o.gid = spec, nameOrNumber(spec)
		return o
	}
	user, grp, found := strings.Cut(spec, ":")
	if !found {
		user, grp, found = strings.Cut(spec, ".")
	}
	if user != "" {
		o.uname, o.uid = user, nameOrNumber(user)
	}
	if found && grp != "" {
		o.gname, o.gid = grp, nameOrNumber(grp)
	}
	return o
}

// nameOrNumber is the number, or 0 for a name, which is looked up later.
func nameOrNumber(s string) int {
	n, _ := digitsOnly(s)
	return n
}

// below calls f for path and, where c is recursive, for all that it holds in the tree root.
func (c chown) below(root *os.Root, name string, f func(name string)) {
	f(name)
	if !c.recursive {
		return
	}
	fi, err := root.Lstat(name)
	if err != nil || !fi.IsDir() {
		return
	}
	fs.WalkDir(root.FS(), name, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if p != name {
			f(p)
		}
		return nil
	})
}

// absolute is a path of the call as a clean path below the root.
func (c chown) absolute(p string) string {
	if !path.IsAbs(p) {
		p = path.Join(c.dir, p)
	}
	return strings.TrimPrefix(path.Clean(p), "/")
}
