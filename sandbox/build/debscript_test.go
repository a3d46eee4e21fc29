package build

import (
	"os"
	"strings"
	"testing"
)

func TestDpkgErrorKeepsWhatMatters(t *testing.T) {
	out := `Selecting previously unselected package a.
dpkg: regarding .../util.deb containing util-linux, pre-dependency problem:
 util-linux pre-depends on libc6
  libc6:amd64 is unpacked, but has never been configured.

dpkg: warning: ignoring pre-dependency problem!
Unpacking a (1) ...
/var/lib/dpkg/tmp.ci/preinst: 17: something: not found
dpkg: error processing archive ./a.deb (--unpack):
 new a package pre-installation script subprocess returned error exit status 127
` + strings.Repeat("Unpacking other (1) ...\n", 100)
	got := dpkgError(&ExitError{Args: []string{"sh"}, Code: 1}, out).Error()
	for _, want := range []string{"code 1", "something: not found", "exit status 127"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Contains(got, "pre-depends") || strings.Count(got, "\n") > 20 {
		t.Errorf("too much: %s", got)
	}
	if err := os.ErrNotExist; dpkgError(err, "") != err {
		t.Error("another error is changed")
	}
}
