package build

import (
	"os"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

func TestZZ17(t *testing.T) {
	w := lockDebs(t, "bookworm", strings.Fields(os.Getenv("NAMES"))...)
	t.Log(len(w.More), "packages")
	w.Keep = "/tmp/debprobe/keep17/root"
	os.MkdirAll(w.Keep, 0o777)
	first := runDebWork(t, "", w)
	t.Logf("%+v", first)
	for _, u := range []string{testenv.WithoutSubuid, testenv.WithSubuid} {
		w.Keep = "/tmp/debprobe/keep17/" + u
		os.MkdirAll(w.Keep, 0o777)
		os.Chmod(w.Keep, 0o777)
		if got := runDebWork(t, u, w); got.More != first.More {
			t.Errorf("%s %+v", u, got)
		}
	}
}
