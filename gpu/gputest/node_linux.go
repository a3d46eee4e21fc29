package gputest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// nodes says which kind this user can make.
func nodes(t testing.TB) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "node")
	if syscall.Mknod(p, syscall.S_IFCHR|0o600, device(195, 255)) != nil {
		return NodesNull
	}
	_ = os.Remove(p)
	return NodesReal
}

// device is the kernel's number; ours are small, so the old form does.
func device(major, minor int) int { return major<<8 | minor&0xff | minor&^0xff<<12 }

// node makes a character device that everybody may open.
func (tr *tree) node(name string, major, minor int) {
	p := tr.path(name)
	if tr.mode == NodesNull {
		tr.check(os.Symlink("/dev/null", p))
		return
	}
	tr.check(syscall.Mknod(p, syscall.S_IFCHR|0o666, device(major, minor)))
	tr.check(os.Chmod(p, 0o666))
}

// socket makes one that nobody listens to.
func (tr *tree) socket(name string) {
	tr.check(syscall.Mknod(tr.path(name), syscall.S_IFSOCK|0o666, 0))
}
