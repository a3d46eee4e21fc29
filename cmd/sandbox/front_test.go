package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]*request{
		"run true":                      {args: []string{"true"}},
		"run train --epochs 3 -- -x":    {args: []string{"train", "--epochs", "3", "--", "-x"}},
		"run -- true":                   {args: []string{"true"}, command: true},
		"run -C a --env X=1 --env=Y b":  {dir: "a", env: []string{"X=1", "Y"}, args: []string{"b"}},
		"run --name=n --network none a": {name: "n", network: "none", args: []string{"a"}},
		"run --dir=a=b - x":             {dir: "a=b", args: []string{"-", "x"}},
		"run --network none -- a":       {network: "none", args: []string{"a"}, command: true},
		"":                              nil,
		"run":                           nil,
		"run --":                        nil,
		"run -q true":                   nil,
		"-q run true":                   nil,
		"run --image x true":            nil,
		"run --from x true":             nil,
		"run --mount a:/b true":         nil,
		"run --help":                    nil,
		"run -Cdir true":                nil,
		"run -C":                        nil,
		"run --network private true":    nil,
		"shell":                         nil,
	} {
		got, ok := parse(strings.Fields(line))
		if ok != (want != nil) || ok && !reflect.DeepEqual(got, *want) {
			t.Errorf("%q: %+v, %t; want %+v", line, got, ok, want)
		}
	}
}

// What every package does before main is paid at every start. Without the engine's libraries 37
// packages make 60 allocations; with them it was 145 and 2250.
func TestLittleIsDoneBeforeMain(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "sandbox")
	build := exec.Command("go", "build", "-o", exe, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("a front without an engine ends well")
	}
	packages, allocs := 0, 0
	for line := range strings.SplitSeq(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] != "init" {
			continue
		}
		n, err := strconv.Atoi(f[len(f)-2])
		if err != nil {
			t.Fatalf("init trace: %q", line)
		}
		packages, allocs = packages+1, allocs+n
	}
	if packages == 0 || packages > 50 || allocs > 150 {
		t.Errorf("%d packages with work before main, %d allocations; at most 50 and 150", packages, allocs)
	}
}
