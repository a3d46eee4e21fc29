package registry

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/sys/unix"
)

// podman that root runs leaves a folder that nobody else may look into. It holds no account of an ordinary user, so it
// is nothing that kept one from being found.
func TestAccountsBesideThoseOfRoot(t *testing.T) {
	run := t.TempDir()
	dir := filepath.Join(run, "containers")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	k := &keychain{func(string) string { return "" }, "", run}
	runtime.LockOSThread() // root may look everywhere, so this thread looks as somebody else
	unix.Setfsuid(65534)
	defer func() {
		unix.Setfsuid(os.Getuid())
		runtime.UnlockOSThread()
	}()
	if _, err := os.Lstat(filepath.Join(dir, "x")); !os.IsPermission(err) {
		t.Fatalf("the folder is not closed: %v", err)
	}
	if a, err := k.find(t.Context(), "reg.example", "a"); a != authn.Anonymous || err != nil {
		t.Errorf("%v, %v", a, err)
	}
}
