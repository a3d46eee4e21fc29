package envfile

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A stranger's file is read before anybody agreed to anything, so it must cost little, whatever is in
// it. Memory is measured in bytes allocated, which does not depend on how fast the machine is.
func TestHostileFilesCostLittle(t *testing.T) {
	var keys, tasks, wrong strings.Builder
	keys.WriteString("[x]\n")
	for i := range 20_000 {
		fmt.Fprintf(&keys, "k%d = %d\n", i, i)
	}
	tasks.WriteString(minimal + "[mounts]\n")
	for i := range 900 {
		fmt.Fprintf(&tasks, "m%d = { to = \"/m%d\", kind = \"tmpfs\" }\n", i, i)
	}
	for i := range 900 {
		fmt.Fprintf(&tasks, "[task.t%d]\nrun = \"x\"\nmounts.a = { to = \"/m7\", kind = \"tmpfs\" }\n", i)
	}
	for i := range 50_000 {
		fmt.Fprintf(&wrong, "key%d = 1\n", i)
	}
	for name, text := range map[string]string{
		"arrays in arrays":      "x = " + strings.Repeat("[", maxFile-10),
		"tables in tables":      "x = " + strings.Repeat("{a=", maxFile/3-10),
		"a long dotted key":     strings.Repeat("a.", maxFile/2-10) + "a = 1",
		"a long dotted header":  "[" + strings.Repeat("a.", maxFile/2-10) + "a]",
		"a long header":         "[x." + strings.Repeat("a", 300_000) + "]\n" + strings.Repeat("b = 1\n", 100_000),
		"a long key":            strings.Repeat("a", maxFile-10) + " = 1",
		"many values":           "x.a = [" + strings.Repeat("1,", maxFile/2-10) + "]",
		"many keys":             keys.String(),
		"many mistakes":         wrong.String(),
		"many tasks and mounts": tasks.String(),
		"many headers":          strings.Repeat("[[step]]\n", maxFile/9),
		"an open string":        "x = \"\"\"" + strings.Repeat("\\\n", maxFile/2-10),
		"quotes":                "x = " + strings.Repeat("'", maxFile-10),
		"brackets after text":   "a = x" + strings.Repeat("[", maxFile-10),
		"too large":             strings.Repeat("#", maxFile+1),
		"one long list":         minimal + "[env]\npass = [\"A\"]\n[profile.p.add.env]\npass = [" + strings.Repeat("\"A\",", 50_000) + "]",
		"one long wrong list":   minimal + "[env]\npass = [" + strings.Repeat("\"1A\",", 50_000) + "]",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			doc, err := Parse("sandbox.toml", []byte(text))
			if err == nil {
				_, err = doc.Resolve(ResolveOptions{Profiles: doc.Profiles()})
			}
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("accepted")
			}
			var ps Problems
			if !errors.As(err, &ps) || len(ps) > maxProblems+1 || len(err.Error()) > 50_000 {
				t.Errorf("%d problems in %d bytes", len(ps), len(err.Error()))
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 640<<20 {
				t.Errorf("%d MiB allocated", used>>20)
			} else {
				t.Logf("%d MiB allocated: %.150s", used>>20, err)
			}
		})
	}
}
