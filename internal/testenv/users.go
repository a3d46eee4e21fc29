package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The two ordinary users that tests become, if the tests run as root.
const (
	WithSubuid    = "tester"
	WithoutSubuid = "plain"
)

// PublicDir is a temporary folder that every user can enter, unlike t.TempDir. It is removed with all
// that is in it, also folders of mode 0000.
func PublicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sbx")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// RemoveAll is os.RemoveAll that opens closed folders of one's own on the way.
func RemoveAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
			if err != nil {
				_ = RemoveAll(p)
				return filepath.SkipDir
			}
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// CleanEnv is an environment of a user who has just logged in: PATH (with the folder of the go tool),
// HOME, and nothing of the caller but what reaching the network needs.
func CleanEnv(name, home string) []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if tool, err := exec.LookPath("go"); err == nil {
		path += ":" + filepath.Dir(tool)
	}
	env := []string{"PATH=" + path, "HOME=" + home, "USER=" + name, "LOGNAME=" + name, "LANG=C.UTF-8", "TERM=xterm"}
	for _, kv := range os.Environ() {
		n, _, _ := strings.Cut(kv, "=")
		l := strings.ToLower(n)
		if strings.HasSuffix(l, "_proxy") || strings.HasPrefix(l, "pip_") || strings.HasPrefix(l, "uv_") || strings.HasPrefix(l, "ssl_cert_") ||
			n == "REQUESTS_CA_BUNDLE" || n == "GOPROXY" || n == "GOFLAGS" || n == "GOSUMDB" || n == "GONOSUMDB" || n == "GOTOOLCHAIN" || n == MustVar {
			env = append(env, kv)
		}
	}
	return env
}
