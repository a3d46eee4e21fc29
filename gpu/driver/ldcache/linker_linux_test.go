package ldcache

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// probe copies a library that every Debian has to name.
func probe(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile("/lib/x86_64-linux-gnu/libutil.so.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// hostCache is the host's cache, as users have it, with entries before it.
func hostCache(t *testing.T, file string, entries ...Entry) {
	t.Helper()
	b, err := os.ReadFile("/etc/ld.so.cache")
	if err != nil {
		t.Fatal(err)
	}
	host, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, Write(append(entries, host...)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// with runs a program in a mount namespace of its own in which the cache is this machine's.
func with(u *testenv.User, cache string, env []string, name string, args ...string) *exec.Cmd {
	const script = `mount --bind "$1" /etc/ld.so.cache || exit 99; shift; exec "$@"`
	all := append([]string{"-Urm", "sh", "-c", script, "sh", cache, "env"}, env...)
	return u.Command("unshare", append(append(all, name), args...)...)
}

func TestTheLinkerFindsWhatWasWritten(t *testing.T) {
	testenv.Need(t, "userns", "users")
	dir := testenv.PublicDir(t)
	at := dir + "/gpu/libsandboxprobe.so.1"
	probe(t, at)
	hostCache(t, dir+"/cache", Entry{Name: "libsandboxprobe.so.1", Path: at, Flags: Flags(elf.ELFCLASS64, elf.EM_X86_64)})
	for _, user := range []string{"", testenv.WithSubuid, testenv.WithoutSubuid} {
		u := testenv.As(t, user)
		t.Run(u.Name, func(t *testing.T) {
			// The linker loads it before main; everything else cat needs comes from the same cache.
			out, err := with(u, dir+"/cache", []string{"LD_PRELOAD=libsandboxprobe.so.1"}, "cat", "/proc/self/maps").CombinedOutput()
			if err != nil || !strings.Contains(string(out), at) {
				t.Errorf("LD_PRELOAD: %v: %s", err, out)
			}
			out, err = with(u, dir+"/cache", nil, "/usr/bin/python3", "-c",
				"import ctypes, ssl, sqlite3; ctypes.CDLL('libsandboxprobe.so.1'); print(open('/proc/self/maps').read())").CombinedOutput()
			if err != nil || !strings.Contains(string(out), at) {
				t.Errorf("dlopen: %v: %s", err, out)
			}
			out, err = with(u, dir+"/cache", nil, "/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL('libsandboxprobe.so.2')").CombinedOutput()
			if err == nil {
				t.Errorf("a name that is not in the cache was found: %s", out)
			}
		})
	}
}

func TestTheLinkerPrefersTheProcessorsFolder(t *testing.T) {
	testenv.Need(t, "userns")
	help, err := exec.Command("/lib64/ld-linux-x86-64.so.2", "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(help), "x86-64-v2 (supported, searched)") {
		t.Skipf("this processor or glibc has no folder x86-64-v2: %v", err)
	}
	dir := testenv.PublicDir(t)
	plain, special := dir+"/libsandboxprobe.so.1", dir+"/glibc-hwcaps/x86-64-v2/libsandboxprobe.so.1"
	probe(t, plain)
	probe(t, special)
	flags := Flags(elf.ELFCLASS64, elf.EM_X86_64)
	hostCache(t, dir+"/cache", Entry{Name: "libsandboxprobe.so.1", Path: plain, Flags: flags}, Entry{Name: "libsandboxprobe.so.1", Path: special, Flags: flags, Sub: "x86-64-v2"},
		Entry{Name: "libsandboxprobe.so.1", Path: dir + "/nowhere", Flags: flags, Sub: "x86-64-v9"})
	out, err := with(testenv.As(t, ""), dir+"/cache", []string{"LD_PRELOAD=libsandboxprobe.so.1"}, "cat", "/proc/self/maps").CombinedOutput()
	if err != nil || !strings.Contains(string(out), special) {
		t.Errorf("%v: %s", err, out)
	}
}
