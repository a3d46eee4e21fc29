package lease

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestDir(t *testing.T) {
	good, open, link := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "link")
	must(t, os.Chmod(good, 0o700))
	must(t, os.Chmod(open, 0o777))
	must(t, os.Symlink(good, link))
	fallback := "/store/locks/gpu"
	if _, err := os.Lstat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()))); err == nil {
		fallback = filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "sandbox/gpu")
	}
	for run, want := range map[string]string{good: good + "/sandbox/gpu", open: fallback, link: fallback, "relative": fallback, "": fallback, "/nonexistent": fallback} {
		if got := Dir(map[string]string{"XDG_RUNTIME_DIR": run}, "/store/locks/gpu"); got != want {
			t.Errorf("XDG_RUNTIME_DIR=%s: %s, want %s", run, got, want)
		}
	}
	if os.Getuid() == 0 {
		must(t, os.Chown(good, 65534, 65534))
		if got := Dir(map[string]string{"XDG_RUNTIME_DIR": good}, "/store/locks/gpu"); got != fallback {
			t.Errorf("somebody else's: %s", got)
		}
	}
}
