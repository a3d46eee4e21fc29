package build

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A tidier takes out of a tree what differs from one installation to the next, and what belongs to
// the machine rather than to the packages. In an overlay's upper that uncovers what lower layers
// have. It never follows a link out of the tree: maintainer scripts wrote it.
type tidier struct {
	root  *os.Root
	epoch int64
	notes []string
}

// tidyDebs cleans the tree at dir after dpkg ran in it. notes name what the user will miss.
func tidyDebs(dir string, epoch int64) (notes []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t := &tidier{root: root, epoch: epoch}
	for _, step := range []func() error{t.logs, t.caches, t.backups, t.generated, t.shadow, t.machine, t.bytecode} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return t.notes, nil
}

// gone turns "was not there" into success.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// replace gives a file new content and exactly this mode, also where it may not be written to.
func (t *tidier) replace(name, content string, mode fs.FileMode) error {
	if err := gone(t.root.Remove(name)); err != nil {
		return err
	}
	if err := t.root.WriteFile(name, []byte(content), 0o600); err != nil {
		return err
	}
	return t.root.Chmod(name, mode)
}

// each calls f for every entry below dir, unless dir is missing. A folder that may not be read is
// passed over.
func (t *tidier) each(dir string, f func(name string, d fs.DirEntry) error) error {
	if fi, err := t.root.Lstat(dir); err != nil || !fi.IsDir() {
		return gone(err)
	}
	return fs.WalkDir(t.root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) {
			return fs.SkipDir
		}
		if err != nil || name == dir {
			return gone(err)
		}
		return f(name, d)
	})
}

// files removes the regular files and links below dir for which f says so.
func (t *tidier) files(dir string, f func(name string, fi fs.FileInfo) bool) error {
	return t.each(dir, func(name string, d fs.DirEntry) error {
		if kind := d.Type(); kind != 0 && kind != fs.ModeSymlink {
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return gone(err)
		}
		if f(name, fi) {
			return gone(t.root.Remove(name))
		}
		return nil
	})
}

func all(string, fs.FileInfo) bool { return true }

// Packages bring empty logs and folders for logs; what is in a log was written here and now.
func (t *tidier) logs() error {
	for _, name := range []string{"var/log/btmp", "var/log/wtmp", "var/log/lastlog", "var/log/faillog"} {
		// Programs write to these only where they exist.
		if fi, err := t.root.Lstat(name); err == nil && fi.Mode().IsRegular() && fi.Size() > 0 {
			if err := t.replace(name, "", fi.Mode().Perm()); err != nil {
				return err
			}
		}
	}
	return t.files("var/log", func(_ string, fi fs.FileInfo) bool { return fi.Mode().IsRegular() && fi.Size() > 0 })
}

func (t *tidier) caches() error {
	for _, dir := range []string{"var/cache/apt", "var/lib/apt/lists", "var/cache/fontconfig", "var/cache/man"} {
		if err := t.files(dir, all); err != nil {
			return err
		}
	}
	for _, f := range []string{"var/cache/ldconfig/aux-cache", "var/lib/systemd/catalog/database", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"} {
		if err := gone(t.root.Remove(f)); err != nil {
			return err
		}
	}
	return nil
}

// backups are what tools leave when they replace a file, and their locks.
func (t *tidier) backups() error {
	old := func(name string, _ fs.FileInfo) bool { return strings.HasSuffix(name, "-old") }
	return errors.Join(
		t.files("var/lib/dpkg", func(name string, fi fs.FileInfo) bool {
			return old(name, fi) && path.Dir(name) == "var/lib/dpkg" || slices.Contains([]string{"lock", "lock-frontend", "Lock"}, path.Base(name))
		}),
		t.files("var/cache/debconf", old),
		t.files("etc", func(name string, _ fs.FileInfo) bool {
			switch name {
			case "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/.pwd.lock":
				return true
			}
			return false
		}),
	)
}

// made is what a maintainer script generated and what differs each time: keys, which must not be the
// same on every machine, and databases.
var made = []struct {
	in   string // folder
	name string // pattern for what is taken out of it
	note string
}{
	{"etc/ssh", "ssh_host_*", "the host keys of the ssh server are not part of the environment: ssh-keygen -A makes them"},
	{"etc/ssl/private", "ssl-cert-snakeoil.key", "the self-signed certificate of ssl-cert is not part of the environment: make-ssl-cert generate-default-snakeoil makes it"},
	{"etc/ssl/certs", "ssl-cert-snakeoil.pem", ""},
	{"var/lib/mysql", "*", "the database of the mysql or mariadb server is not part of the environment: mariadb-install-db or mysqld --initialize makes it"},
	{"etc", "aliases.db", "the mail server's /etc/aliases.db is not part of the environment: newaliases makes it"},
}

func (t *tidier) generated() error {
	for _, m := range made {
		names, err := t.names(m.in)
		if err != nil {
			return err
		}
		found := false
		for _, n := range names {
			if ok, _ := path.Match(m.name, n); !ok {
				continue
			}
			found = true
			if err := t.root.RemoveAll(path.Join(m.in, n)); err != nil {
				return err
			}
		}
		if found && m.note != "" {
			t.notes = append(t.notes, m.note)
		}
	}
	// Links by hash to the certificate that is gone.
	return t.files("etc/ssl/certs", func(name string, fi fs.FileInfo) bool {
		to, err := t.root.Readlink(name)
		return err == nil && path.Base(to) == "ssl-cert-snakeoil.pem"
	})
}

// names are the entries of a folder without overlay's whiteouts; none if there is no such folder.
func (t *tidier) names(dir string) ([]string, error) {
	fi, err := t.root.Lstat(dir)
	if err != nil || !fi.IsDir() {
		return nil, gone(err)
	}
	f, err := t.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	var out []string
	for _, e := range entries {
		if e.Type()&fs.ModeDevice == 0 { // a whiteout stays
			out = append(out, e.Name())
		}
	}
	return out, err
}

// shadow holds the day on which a password was last changed: for accounts made here, today.
func (t *tidier) shadow() error {
	const name = "etc/shadow"
	fi, err := t.root.Lstat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return gone(err)
	}
	b, err := t.root.ReadFile(name)
	if err != nil {
		return err
	}
	day := t.epoch / 86400
	lines := strings.Split(string(b), "\n")
	changed := false
	for i, l := range lines {
		f := strings.Split(l, ":")
		if len(f) < 3 {
			continue
		}
		if n, err := strconv.ParseInt(f[2], 10, 64); err == nil && n > day {
			f[2], changed = strconv.FormatInt(day, 10), true
			lines[i] = strings.Join(f, ":")
		}
	}
	if !changed {
		return nil
	}
	return t.replace(name, strings.Join(lines, "\n"), fi.Mode().Perm())
}

// machine is what tells one machine from another, and what is there only while it runs.
func (t *tidier) machine() error {
	if err := gone(t.root.Remove("var/lib/dbus/machine-id")); err != nil {
		return err
	}
	if fi, err := t.root.Lstat("etc/machine-id"); err == nil && fi.Mode().IsRegular() && fi.Size() > 0 {
		// Empty means: to be made at the first start.
		if err := t.replace("etc/machine-id", "", fi.Mode().Perm()); err != nil {
			return err
		}
	}
	for _, dir := range []string{"run", "tmp", "var/tmp"} {
		names, err := t.names(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			if dir == "run" && n == "lock" {
				continue // part of every base
			}
			if err := t.root.RemoveAll(path.Join(dir, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tidier) bytecode() error {
	return t.each(".", func(name string, d fs.DirEntry) error {
		if !d.IsDir() || d.Name() != "__pycache__" {
			return nil
		}
		if err := t.root.RemoveAll(name); err != nil {
			return err
		}
		return fs.SkipDir
	})
}
