package build

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// exceptions are the differences from mmdebstrap that we mean, by path or by folder ("x/"), all of them
// things that it has and we have not unless the reason says otherwise.
var exceptions = map[string]string{
	"":                                    "layers have no entry for the root",
	"dev/":                                "every sandbox mounts its own /dev",
	"etc/.pwd.lock":                       "a lock",
	"etc/apt/apt.conf.d/99mmdebstrap":     "its options",
	"etc/apt/sources.list":                "a lock of packages names no mirror",
	"etc/fstab":                           "it writes one",
	"etc/group-":                          "a backup",
	"etc/passwd-":                         "a backup",
	"etc/shadow-":                         "a backup",
	"var/log/faillog":                     "its first lines are empty records, ours is empty",
	"var/log/lastlog":                     "its first lines are empty records, ours is empty",
	"etc/hostname":                        "of the host",
	"etc/resolv.conf":                     "of the host",
	"var/cache/apt/archives/lock":         "a lock",
	"var/cache/apt/archives/partial":      "apt closes it when it first runs; ours never did",
	"var/cache/debconf/config.dat-old":    "a backup",
	"var/cache/debconf/templates.dat-old": "a backup",
	"var/lib/apt/extended_states":         "of apt, which did not run",
	"var/lib/apt/lists/lock":              "a lock",
	"var/lib/apt/lists/partial":           "apt closes it when it first runs",
	"var/lib/dpkg/arch":                   "the architecture is compiled into dpkg",
	"var/lib/dpkg/diversions-old":         "a backup",
	"var/lib/dpkg/lock":                   "a lock",
	"var/lib/dpkg/lock-frontend":          "a lock",
	"var/lib/dpkg/status-old":             "a backup",
	"var/lib/dpkg/triggers/Lock":          "a lock",
}

// mmdebstrap, which runs apt and dpkg as root, makes of the same .debs the same tree as we do: files,
// content, modes, owners.
func TestBaseAgainstMmdebstrap(t *testing.T) {
	testenv.Need(t, "root", "mmdebstrap")
	suites := []string{"bookworm"}
	if os.Getenv("SANDBOX_TEST_ALL") != "" {
		suites = append(suites, "trixie", "bullseye")
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) { againstMmdebstrap(t, suite) })
	}
}

func againstMmdebstrap(t *testing.T, suite string) {
	w := lockDebs(t, suite)
	w.Keep = testenv.PublicDir(t)
	runDebWork(t, "", false, w)
	ours, theirs := readTree(t, filepath.Join(w.Keep, "base.tar")), readTree(t, mmdebstrap(t, w))
	for _, p := range differing(ours, theirs) {
		if !excepted(p) {
			t.Errorf("%s:\n  ours   %s\n  theirs %s", p, ours[p], theirs[p])
		}
	}
	if len(ours) < 3000 {
		t.Errorf("only %d entries", len(ours))
	}
}

// mmdebstrap gives the tar that it makes.
func mmdebstrap(t *testing.T, w debWork) string {
	t.Helper()
	repo, out := flatRepo(t, w), filepath.Join(w.Keep, "oracle.tar")
	var names []string // an archive without a suite's name gets no apt by itself
	merged := false
	for _, p := range w.Base {
		names = append(names, p.Name)
		merged = merged || p.Name == "usr-is-merged"
	}
	args := []string{"--mode=root", "--variant=minbase", "--include=" + strings.Join(names, ","), `--aptopt=APT::Sandbox::User "root"`}
	if merged {
		args = append(args, "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
	}
	cmd := exec.Command("mmdebstrap", append(args, "", out, "deb [trusted=yes] copy:"+repo+" ./")...)
	cmd.Env = append(testenv.CleanEnv("root", t.TempDir()), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", testEpoch), "TMPDIR="+w.Keep)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, b)
	}
	return out
}

func excepted(p string) bool {
	if _, ok := exceptions[p]; ok {
		return true
	}
	for e := range exceptions {
		if strings.HasSuffix(e, "/") && strings.HasPrefix(p, e) {
			return true
		}
	}
	return false
}

func differing(a, b map[string]string) []string {
	var out []string
	for p := range a {
		if a[p] != b[p] {
			out = append(out, p)
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			out = append(out, p)
		}
	}
	sort.Strings(out)
	return out
}

// readTree describes each entry of a tar in a line.
func readTree(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	tr := tar.NewReader(f)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		sum := ""
		if h.Typeflag == tar.TypeReg {
			s := sha256.New()
			if _, err := io.Copy(s, tr); err != nil {
				t.Fatal(err)
			}
			sum = hex.EncodeToString(s.Sum(nil))[:16]
		}
		if h.Typeflag == tar.TypeLink { // which name is the link is no property of a tree
			out[name] = out[strings.TrimPrefix(path.Clean("/"+h.Linkname), "/")]
			continue
		}
		out[name] = fmt.Sprintf("%c %04o %d:%d %s %d %s", h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, h.Linkname, h.Size, sum)
	}
}

// flatRepo is a folder from which apt can install the packages of w.
func flatRepo(t *testing.T, w debWork) string {
	t.Helper()
	dir := filepath.Join(testenv.PublicDir(t), "repo")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(w.Store, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var index strings.Builder
	for _, p := range w.Base {
		f, err := st.OpenBlob(t.Context(), store.Digest("sha256:"+p.SHA256))
		if err != nil {
			t.Fatal(err)
		}
		control, _, err := deb.ReadContents(f, deb.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		name := p.SHA256 + ".deb"
		fmt.Fprintf(&index, "%s\nFilename: ./%s\nSize: %d\nSHA256: %s\n\n", strings.TrimSpace(control), name, p.Size, p.SHA256)
		if err := os.Link(f.Name(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, "Packages"), []byte(index.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
