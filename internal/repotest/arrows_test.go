package repotest

import (
	"slices"
	"strings"
	"testing"
)

// The floors of the house, lowest first. A package imports from its own floor and from lower ones;
// rooms of floor 1 do not see each other, and gpu is one of them.
var floors = map[string]int{"internal": 0, "envfile": 1, "images": 1, "gpu": 1, "sandbox": 2, "submit": 3, "cmd": 4, "bench": 4}

func room(path string) string {
	top, _, _ := strings.Cut(path, "/")
	return top
}

func TestArrowsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		from := room(p.Path)
		if _, ok := floors[from]; !ok {
			t.Errorf("%s: no such room in the house", p.Path)
			continue
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			path, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			to := room(path)
			if from != to && floors[to] >= floors[from] {
				t.Errorf("%s imports %s: the arrows are internal → envfile, images, gpu → sandbox → submit → cmd", p.Path, path)
			}
			if from == "cmd" && to == "cmd" && !strings.HasPrefix(path, p.Path+"/") && !strings.HasPrefix(p.Path, path) {
				t.Errorf("%s imports %s: commands do not share code", p.Path, path)
			}
		}
	}
}

// Libraries that belong to one place, so that the rest of the code can do without them.
var homes = []struct{ library, home, why string }{
	{"github.com/spf13/", "cmd/", "the command line is thin and on top"},
	{"github.com/google/go-containerregistry/", "images/", "no type of a registry library leaves images"},
	{"github.com/NVIDIA/go-nvml", "gpu/probe/nvml", "it needs the dynamic linker, and a missing symbol kills the process"},
	{"github.com/vbauerster/mpb", "cmd/", "libraries report progress, the command draws it"},
}

func TestLibrariesStayAtHome(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for _, h := range homes {
				if strings.HasPrefix(imp, h.library) && !strings.HasPrefix(p.Path+"/", h.home) && p.Path != h.home {
					t.Errorf("%s imports %s, whose home is %s: %s", p.Path, imp, h.home, h.why)
				}
			}
		}
	}
}

// A first element with a dot is a host, so not the standard library.
func standard(imp string) bool { return !strings.Contains(room(imp), ".") }

func TestPackagesThatNeedLittle(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		switch p.Path {
		case "sandbox/spec":
			seen++
			for _, imp := range p.Imports {
				if !standard(imp) {
					t.Errorf("%s imports %s: the plan is plain data", p.Path, imp)
				}
			}
		case "envfile/terms":
			seen++
			for _, imp := range p.Imports {
				if !standard(imp) {
					t.Errorf("%s imports %s: plain data", p.Path, imp)
				}
			}
		case "images/store", "envfile", "sandbox/start", "sandbox/plan":
			seen++
			for _, dep := range []string{"net/http", "crypto/tls", "net"} {
				if slices.Contains(p.Deps, dep) {
					t.Errorf("%s needs %s: it works without a network", p.Path, dep)
				}
			}
		}
	}
	if seen != 6 {
		t.Errorf("only %d of the packages with a rule are there", seen)
	}
}

// What is linked into the front is paid at every start: docs/decisions/031-front-and-engine.md. Only
// these of ours belong there; the rest is the engine's.
func TestTheFrontLinksLittle(t *testing.T) {
	ours := []string{"envfile/terms", "internal/", "sandbox/internal/", "sandbox/launch", "sandbox/owner", "sandbox/plan", "sandbox/spec", "sandbox/start"}
	theirs := []string{"github.com/moby/sys/mountinfo", "golang.org/x/sys/unix"}
	tooMuch := []string{"net", "net/http", "net/netip", "crypto/tls", "text/template", "math/big", "regexp", "os/exec", "compress/gzip"}
	seen := 0
	for _, p := range packages(t) {
		if p.Path != "cmd/sandbox" && p.Path != "sandbox/launch" {
			continue
		}
		seen++
		for _, dep := range p.Deps {
			path, isOurs := strings.CutPrefix(dep, module+"/")
			switch {
			case isOurs:
				if !slices.ContainsFunc(ours, func(o string) bool { return strings.HasPrefix(path, o) }) {
					t.Errorf("%s needs %s: only the engine may", p.Path, path)
				}
			case !standard(dep):
				if !slices.Contains(theirs, dep) {
					t.Errorf("%s needs %s: only the engine may", p.Path, dep)
				}
			case slices.Contains(tooMuch, dep):
				t.Errorf("%s needs %s: every start would pay for it", p.Path, dep)
			}
		}
	}
	if seen != 2 {
		t.Errorf("only %d of the packages with a rule are there", seen)
	}
}

// Pure packages take what they look at as arguments.
func TestEnvfileIsPure(t *testing.T) {
	for _, p := range packages(t) {
		if p.Path != "envfile" && p.Path != "envfile/toolchain" && p.Path != "envfile/terms" && p.Path != "sandbox/plan" {
			continue
		}
		for _, imp := range p.Imports {
			if imp == "os" || imp == "os/exec" || imp == "syscall" || imp == "net/http" || strings.HasPrefix(imp, "golang.org/x/sys") {
				t.Errorf("%s imports %s: it is bytes in, values out", p.Path, imp)
			}
		}
	}
}

func TestTestPackagesStayInTests(t *testing.T) {
	of := []string{"internal/testenv", "internal/testenv/lacks", "internal/registrytest", "internal/enginetest", "gpu/gputest"}
	for _, p := range packages(t) {
		if slices.Contains(of, p.Path) {
			continue
		}
		for _, imp := range p.Imports {
			if slices.Contains(of, strings.TrimPrefix(imp, module+"/")) || imp == "testing" || strings.HasPrefix(imp, "github.com/rogpeppe/go-internal") {
				t.Errorf("%s imports %s outside of its tests", p.Path, imp)
			}
		}
	}
}
