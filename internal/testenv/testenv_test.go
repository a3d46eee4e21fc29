package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMustTurnsASkipIntoAFailure(t *testing.T) {
	defer func(c condition) { conditions["tmux"] = c }(conditions["tmux"])
	conditions["tmux"] = condition{"a terminal", func() error { return errors.New("not there") }}
	t.Setenv(MustVar, "git userns")
	var must *MustError
	if err := Check("tmux"); err == nil || errors.As(err, &must) {
		t.Errorf("not asked for: %v", err)
	}
	t.Setenv(MustVar, "git,tmux")
	if err := Check("tmux"); !errors.As(err, &must) {
		t.Errorf("asked for: %v", err)
	}
	if err := Check("no-such-thing"); !errors.As(err, &must) {
		t.Errorf("a condition nobody knows: %v", err)
	}
}

func TestCleanEnvHasNothingOfTheCaller(t *testing.T) {
	t.Setenv("SOME_TOKEN", "x")
	t.Setenv("XDG_DATA_HOME", "/elsewhere")
	t.Setenv("HTTPS_PROXY", "p")
	env := strings.Join(CleanEnv("u", "/h"), "\n")
	if strings.Contains(env, "TOKEN") || strings.Contains(env, "XDG") || !strings.Contains(env, "HTTPS_PROXY=p") || !strings.Contains(env, "HOME=/h") {
		t.Error(env)
	}
}

func TestRemoveAllOpensClosedFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	if err := os.MkdirAll(dir+"/b/c", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir + "/b", dir} {
		if err := os.Chmod(d, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}
