package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunAsAnotherUser(t *testing.T) {
	Need(t, "users")
	for _, name := range []string{WithSubuid, WithoutSubuid} {
		u := As(t, name)
		out, err := u.Command("sh", "-c", "id -un; cd; touch mine; echo $HOME; id -G").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), name+"\n"+u.Home) || strings.Contains(string(out), "\n0") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestATmpfsFillsUpAndIsGone(t *testing.T) {
	Need(t, "users")
	u := As(t, WithoutSubuid)
	dir := filepath.Join(u.Home, "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	u.Own(t, dir)
	out, err := u.OnTmpfs(dir, "1m", "sh", "-c", "id -un; head -c 3000000 /dev/zero >small/f; ls small").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No space left") || !strings.HasPrefix(string(out), WithoutSubuid) {
		t.Errorf("%v\n%s", err, out)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Error("the tmpfs is visible outside of its command")
	}
}
