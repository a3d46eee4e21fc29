package testenv

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// User is an account that a test can run programs as.
type User struct {
	Name     string
	UID, GID int
	Home     string // clean, made for this test; everybody can enter the folder above it
}

// As returns the named user with a new home, or the current one for "". To become another user the
// tests have to run as root: need condition "users" first.
func As(t testing.TB, name string) *User {
	t.Helper()
	u := &User{Name: name, UID: os.Getuid(), GID: os.Getgid()}
	if cur, err := user.Current(); err == nil && name == "" {
		u.Name = cur.Username
	}
	if name != "" {
		acc, err := user.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		u.UID, _ = strconv.Atoi(acc.Uid)
		u.GID, _ = strconv.Atoi(acc.Gid)
	}
	u.Home = filepath.Join(PublicDir(t), "home")
	if err := os.Mkdir(u.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	u.Own(t, u.Home)
	return u
}

// Own gives paths to the user.
func (u *User) Own(t testing.TB, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.Lchown(p, u.UID, u.GID); err != nil {
			t.Fatal(err)
		}
	}
}

// Command is a program run as the user, in her home, with [CleanEnv].
func (u *User) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = u.Home
	cmd.Env = CleanEnv(u.Name, u.Home)
	if u.UID != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}}
	}
	return cmd
}

// OnTmpfs is [User.Command] with a tmpfs of the given size ("8m") over the folder dir, which only this
// program and its children see: a disk that fills up. It takes root.
func (u *User) OnTmpfs(dir, size, name string, args ...string) *exec.Cmd {
	const script = `mount -t tmpfs -o "size=$1,uid=$2,gid=$3,mode=0755" tmpfs "$4" || exit 99
u=$2 g=$3; shift 4; exec setpriv --reuid "$u" --regid "$g" --clear-groups -- "$@"`
	all := append([]string{"--mount", "--propagation", "private", "sh", "-c", script, "sh",
		size, strconv.Itoa(u.UID), strconv.Itoa(u.GID), dir, name}, args...)
	cmd := exec.Command("unshare", all...)
	cmd.Dir = u.Home
	cmd.Env = CleanEnv(u.Name, u.Home)
	return cmd
}
