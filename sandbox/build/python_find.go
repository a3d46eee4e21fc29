package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Python is an interpreter in a tree, found without running it.
type Python struct {
	Path    string   // of the program itself, without links: /usr/bin/python3.11
	Version string   // "3.11"
	Full    string   // "3.11.2", or "" where the tree does not say
	Stdlib  string   // folder of the standard library
	Site    []string // folders of installed packages that exist, the first winning
	Target  wheel.Target
}

// Minor is the Y of 3.Y.
func (p Python) Minor() int {
	_, y, _ := strings.Cut(p.Version, ".")
	n, _ := strconv.Atoi(y)
	return n
}

type noPythonError struct{}

func (noPythonError) Error() string { return "the image has no Python 3" }

// ErrNoPython says that a tree has no interpreter that we know how to use.
var ErrNoPython = hint.With(noPythonError{}, `add it: [apt] packages = ["python3"], or take a base that has it`)

// usualPath is where interpreters are looked for if the image has no PATH of its own.
var usualPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/opt/conda/bin"}

// FindPython finds the Python that a command line in the tree would find: the first python3 or
// python along path (folders; none: the usual ones) that is a CPython 3. Launchers written in shell
// are passed over. Nothing is executed.
func FindPython(st *layer.Stack, dirs []string) (Python, error) {
	if len(dirs) == 0 {
		dirs = usualPath
	}
	for _, dir := range dirs {
		for _, name := range []string{"python3", "python"} {
			if !path.IsAbs(dir) {
				continue
			}
			p, ok := pythonAt(st, path.Join(dir, name))
			if !ok {
				continue
			}
			target, err := findTarget(st, p.Version, archOf(st, p.Path))
			if err != nil {
				return Python{}, fmt.Errorf("%s: %w", p.Path, err)
			}
			target.Full = p.Full
			p.Target = target
			return p, nil
		}
	}
	return Python{}, ErrNoPython
}

var pythonName = lazyregexp.New(`^python(3\.[0-9]{1,2})$`)

func pythonAt(st *layer.Stack, at string) (Python, bool) {
	real, err := st.Resolve(at)
	if err != nil || !isProgram(st, real) {
		return Python{}, false
	}
	prefix := path.Dir(path.Dir(real))
	p := Python{Path: real}
	if m := pythonName.FindStringSubmatch(path.Base(real)); m != nil {
		p.Version = m[1]
	} else if p.Version = onlyStdlib(st, prefix); p.Version == "" {
		return Python{}, false
	}
	for _, lib := range []string{"lib", "lib64"} {
		dir := path.Join(prefix, lib, "python"+p.Version)
		if fi, err := st.Stat(dir + "/os.py"); err == nil && fi.Mode().IsRegular() {
			p.Stdlib = dir
			break
		}
	}
	if p.Stdlib == "" {
		return Python{}, false
	}
	p.Site = siteFolders(st, prefix, p.Version)
	p.Full = fullVersion(st, prefix, p.Version)
	return p, true
}

// onlyStdlib is the version of the one standard library below prefix, for an interpreter whose name
// does not say it.
func onlyStdlib(st *layer.Stack, prefix string) string {
	ents, err := st.ReadDir(path.Join(prefix, "lib"))
	if err != nil {
		return ""
	}
	found := ""
	for _, e := range ents {
		m := pythonName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		if _, err := st.Stat(path.Join(prefix, "lib", e.Name(), "os.py")); err != nil {
			continue
		}
		if found != "" {
			return ""
		}
		found = m[1]
	}
	return found
}

// archOf is the processor that a program is for, by Go's name: a tree may be of another platform.
func archOf(st *layer.Stack, p string) string {
	f, err := st.Open(p)
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	head := make([]byte, 20)
	if _, err := f.ReadAt(head, 0); err != nil {
		return runtime.GOARCH
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	switch elf.Machine(order.Uint16(head[18:])) {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_PPC64:
		return "ppc64le"
	case elf.EM_RISCV:
		return "riscv64"
	case elf.EM_S390:
		return "s390x"
	}
	return runtime.GOARCH
}

// isProgram tells a program for the kernel from a script that looks for one.
func isProgram(st *layer.Stack, p string) bool {
	f, err := st.Open(p)
	if err != nil {
		return false
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || fi.Mode()&0o111 == 0 {
		return false
	}
	magic := make([]byte, len(elf.ELFMAG))
	_, err = f.ReadAt(magic, 0)
	return err == nil && string(magic) == elf.ELFMAG
}

// siteFolders lists where Python looks for packages: its own site-packages, and what Debian and
// Fedora add for the Python of the system.
func siteFolders(st *layer.Stack, prefix, version string) []string {
	v := "python" + version
	var try []string
	if prefix == "/usr" {
		try = []string{"/usr/local/lib/" + v + "/dist-packages", "/usr/local/lib/" + v + "/site-packages", "/usr/local/lib64/" + v + "/site-packages",
			"/usr/lib/python3/dist-packages", "/usr/lib/" + v + "/dist-packages"}
	}
	try = append(try, path.Join(prefix, "lib", v, "site-packages"), path.Join(prefix, "lib64", v, "site-packages"))
	var out []string
	seen := map[string]bool{}
	for _, d := range try {
		real, err := st.Resolve(d)
		if err != nil || seen[real] {
			continue
		}
		if fi, err := st.Stat(real); err == nil && fi.IsDir() {
			seen[real] = true
			out = append(out, real)
		}
	}
	return out
}

var headerVersion = lazyregexp.New(`(?m)^#define PY_VERSION\s+"(\d+\.\d+\.\d+)`)

// fullVersion looks into the header file, then into the list of Debian packages.
func fullVersion(st *layer.Stack, prefix, version string) string {
	if b, err := st.ReadFile(path.Join(prefix, "include/python"+version+"/patchlevel.h"), 1<<20); err == nil {
		if m := headerVersion.FindSubmatch(b); m != nil && strings.HasPrefix(string(m[1]), version+".") {
			return string(m[1])
		}
	}
	if prefix != "/usr" {
		return ""
	}
	b, err := st.ReadFile("/var/lib/dpkg/status", 64<<20)
	if err != nil {
		return ""
	}
	_, rest, ok := bytes.Cut(b, []byte("\nPackage: python"+version+"\n"))
	if !ok {
		return ""
	}
	para, _, _ := bytes.Cut(rest, []byte("\n\n"))
	m := regexp.MustCompile(`(?m)^Version: (\d+\.\d+\.\d+)`).FindSubmatch(para)
	if m == nil || !strings.HasPrefix(string(m[1]), version+".") {
		return ""
	}
	return string(m[1])
}

var (
	glibcVersion = lazyregexp.New(`GNU C Library [^\n]{0,200} version (\d)\.(\d{1,3})`)
	muslVersion  = lazyregexp.New(`(?m)^P:musl\n(?:[A-UW-Za-z]:[^\n]*\n)*V:(\d)\.(\d{1,3})`)
)

// findTarget finds which C library the tree has, and its version: that decides which wheels run.
func findTarget(st *layer.Stack, version, arch string) (wheel.Target, error) {
	t := wheel.Target{Python: version, Arch: arch}
	triplet := map[string]string{
		"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "ppc64le": "powerpc64le-linux-gnu",
		"riscv64": "riscv64-linux-gnu", "s390x": "s390x-linux-gnu",
	}[t.Arch]
	for _, dir := range []string{"/lib/" + triplet, "/usr/lib/" + triplet, "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		b, err := st.ReadFile(dir+"/libc.so.6", 32<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return t, err
		}
		if m := glibcVersion.FindSubmatch(b); m != nil {
			t.Glibc = pair(m)
			return t, nil
		}
	}
	if b, err := st.ReadFile("/lib/apk/db/installed", 64<<20); err == nil {
		if m := muslVersion.FindSubmatch(b); m != nil {
			t.Musl = pair(m)
			return t, nil
		}
	}
	return t, errors.New("the image has no C library that is known, glibc or musl")
}

func pair(m [][]byte) [2]int {
	a, _ := strconv.Atoi(string(m[1]))
	b, _ := strconv.Atoi(string(m[2]))
	return [2]int{a, b}
}
