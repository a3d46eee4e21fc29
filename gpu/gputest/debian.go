package gputest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// Debian downloads packages of Debian's non-free component ("libnvidia-ml1", "libcuda1") by apt, from
// where this host's own sources point to, and unpacks them; it returns the folder. Nothing is installed,
// and apt's own state is left alone. Libraries are at usr/lib/x86_64-linux-gnu/nvidia/current below it.
//
// Run NVIDIA's libraries as an ordinary user: asked by root, they make nodes in /dev.
func Debian(t testing.TB, packages ...string) string {
	t.Helper()
	testenv.Need(t, "mirror")
	release, _ := os.ReadFile("/etc/os-release")
	if !strings.Contains("\n"+string(release), "\nID=debian\n") {
		t.Skip("packages of Debian are for Debian")
	}
	dir := testenv.PublicDir(t)
	codename := ""
	for line := range strings.SplitSeq(string(release), "\n") {
		if c, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			codename = strings.Trim(c, `"`)
		}
	}
	for _, d := range []string{"sources", "state/lists/partial", "cache/archives/partial", "deb"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if n := nonFree(t, codename, filepath.Join(dir, "sources")); n == 0 {
		t.Fatalf("none of this host's apt sources has %s", codename)
	}
	run := func(args ...string) {
		t.Helper()
		opts := []string{"-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Dir::Etc::sourceparts=" + dir + "/sources", "-o", "Dir::State=" + dir + "/state",
			"-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "Dir::Cache=" + dir + "/cache", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1"}
		cmd := exec.Command("apt-get", append(opts, args...)...)
		cmd.Dir = filepath.Join(dir, "deb")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("apt-get %s: %v: %s", args[0], err, out)
		}
	}
	run("update")
	run(append([]string{"download"}, packages...)...)
	debs, _ := filepath.Glob(filepath.Join(dir, "deb", "*.deb"))
	if len(debs) != len(packages) {
		t.Fatalf("%d files for %d packages", len(debs), len(packages))
	}
	root := filepath.Join(dir, "root")
	for _, d := range debs {
		if out, err := exec.Command("dpkg-deb", "-x", d, root).CombinedOutput(); err != nil {
			t.Fatalf("dpkg-deb: %v: %s", err, out)
		}
	}
	return root
}

// nonFree copies the host's sources of this release with their component replaced, and counts them.
func nonFree(t testing.TB, codename, to string) int {
	t.Helper()
	n := 0
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, f := range append(files, "/etc/apt/sources.list") {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		var kept string
		switch filepath.Ext(f) {
		case ".sources":
			for stanza := range strings.SplitSeq(string(b), "\n\n") {
				if s, ok := inStanza(stanza, codename); ok {
					kept += s + "\n\n"
					n++
				}
			}
		case ".list":
			for line := range strings.SplitSeq(string(b), "\n") {
				fields := strings.Fields(line)
				for i, w := range fields {
					if fields[0] == "deb" && i > 1 && ofRelease(w, codename) {
						kept += strings.Join(fields[:i+1], " ") + " non-free\n"
						n++
						break
					}
				}
			}
		default:
			continue
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(f)), []byte(kept), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// ofRelease tells whether a suite is the release or one of its additions.
func ofRelease(suite, codename string) bool {
	return suite == codename || suite == codename+"-updates" || suite == codename+"-security"
}

func inStanza(stanza, codename string) (string, bool) {
	fits := false
	lines := strings.Split(stanza, "\n")
	for i, line := range lines {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Suites":
			for _, s := range strings.Fields(value) {
				fits = fits || ofRelease(s, codename)
			}
		case "Components":
			lines[i] = "Components: non-free"
		}
	}
	return strings.Join(lines, "\n"), fits
}
