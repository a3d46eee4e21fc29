package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// files is the merged view of an environment's layers.
type files interface {
	ReadFile(path string, max int64) ([]byte, error)
}

// maxIDFile bounds /etc/passwd and /etc/group of an image: they come from strangers.
const maxIDFile = 4 << 20

// caller is who runs the tool.
type caller struct {
	UID, GID int
	Name     string
	Home     string
}

// resolveUser turns an image's USER or the env file's user ("root", "me", a name, "1000",
// "name:group") into ids, a name and a home, by the image's own /etc/passwd and /etc/group.
func resolveUser(want, imageUser string, me caller, root files) (plan.User, error) {
	if want == "" || want == "image" {
		want = imageUser
	}
	passwd, err := readIDs(root, "/etc/passwd")
	if err != nil {
		return plan.User{}, err
	}
	switch want {
	case "", "root", "0", "0:0", "root:root":
		u := plan.User{Name: "root", Home: "/root", Shell: "/bin/sh"}
		if e := find(passwd, func(f []string) bool { return f[2] == "0" }); e != nil {
			u.Home, u.Shell = homeOf(e, u.Home), shellOf(e)
		}
		return u, nil
	case "me":
		u := plan.User{UID: me.UID, GID: me.GID, Name: me.Name, Home: "/home/" + me.Name, Shell: "/bin/sh"}
		if me.UID == 0 {
			u.Home = "/root"
		}
		if e := find(passwd, func(f []string) bool { return f[2] == strconv.Itoa(me.UID) }); e != nil {
			u.Shell = shellOf(e)
		}
		return u, nil
	}
	name, group, hasGroup := strings.Cut(want, ":")
	u := plan.User{Name: name, Home: "/", Shell: "/bin/sh"}
	e := find(passwd, func(f []string) bool { return f[0] == name })
	if e == nil {
		e = find(passwd, func(f []string) bool { return f[2] == name })
	}
	if e != nil {
		u.Name, u.Home, u.Shell = e[0], homeOf(e, "/"), shellOf(e)
		if u.UID, err = id(e[2]); err == nil {
			u.GID, err = id(e[3])
		}
	} else if u.UID, err = id(name); err != nil {
		err = hint.With(fmt.Errorf("the image has no user %s", name), "set [image] user to root, me, a number, or a user of the image's /etc/passwd")
	}
	if err != nil {
		return u, err
	}
	if hasGroup {
		u.GID, err = groupID(root, group)
	}
	return u, err
}

func groupID(root files, group string) (int, error) {
	if n, err := id(group); err == nil {
		return n, nil
	}
	groups, err := readIDs(root, "/etc/group")
	if err != nil {
		return 0, err
	}
	if e := find(groups, func(f []string) bool { return f[0] == group }); e != nil {
		return id(e[2])
	}
	return 0, fmt.Errorf("the image has no group %s", group)
}

// id parses a uid or gid; 2^32-1 is "no id" to the kernel.
func id(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("not a user or group number: %q", s)
	}
	return int(n), nil
}

func readIDs(root files, path string) ([][]string, error) {
	b, err := root.ReadFile(path, maxIDFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the image's %s: %w", path, err)
	}
	want := 4
	if strings.HasSuffix(path, "group") {
		want = 3
	}
	var out [][]string
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if f := strings.Split(sc.Text(), ":"); len(f) >= want {
			out = append(out, f)
		}
	}
	return out, sc.Err()
}

func find(entries [][]string, match func([]string) bool) []string {
	for _, e := range entries {
		if match(e) {
			return e
		}
	}
	return nil
}

func homeOf(e []string, def string) string {
	if len(e) > 5 && strings.HasPrefix(e[5], "/") {
		return e[5]
	}
	return def
}

func shellOf(e []string) string {
	if len(e) > 6 && strings.HasPrefix(e[6], "/") {
		return e[6]
	}
	return "/bin/sh"
}

// passwdWith is the image's passwd and group with an entry for u, or nil where it has one already.
func passwdWith(root files, u plan.User) (passwd, group []byte, err error) {
	entries, err := readIDs(root, "/etc/passwd")
	if err != nil {
		return nil, nil, err
	}
	if find(entries, func(f []string) bool { return f[2] == strconv.Itoa(u.UID) }) != nil {
		return nil, nil, nil
	}
	p, err := readOr(root, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	if err != nil {
		return nil, nil, err
	}
	g, err := readOr(root, "/etc/group", "root:x:0:\n")
	if err != nil {
		return nil, nil, err
	}
	p = append(p, fmt.Sprintf("%s:x:%d:%d::%s:%s\n", u.Name, u.UID, u.GID, u.Home, u.Shell)...)
	groups, err := readIDs(root, "/etc/group")
	if err != nil {
		return nil, nil, err
	}
	if find(groups, func(f []string) bool { return f[2] == strconv.Itoa(u.GID) }) == nil {
		g = append(g, fmt.Sprintf("%s:x:%d:\n", u.Name, u.GID)...)
	}
	return p, g, nil
}

func readOr(root files, path, def string) ([]byte, error) {
	b, err := root.ReadFile(path, maxIDFile)
	if errors.Is(err, fs.ErrNotExist) {
		return []byte(def), nil
	}
	if err == nil && len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	return b, err
}
