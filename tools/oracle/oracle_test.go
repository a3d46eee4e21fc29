package oracle

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu/gputest"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// TestSameChoice compares what each device of each whole machine gets.
func TestSameChoice(t *testing.T) {
	testenv.Need(t, "root") // chroot, and device nodes that nvcdi takes for such
	used := map[int]bool{}
	for _, name := range gputest.Whole() {
		if why, left := notCompared[name]; left {
			t.Logf("%s: %s", name, why)
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := gputest.New(t, name)
			their, err := theirs(t, m)
			if err != nil {
				t.Fatal(err)
			}
			for what, caps := range asked {
				our, err := choose(m, caps)
				if err != nil {
					t.Fatal(err)
				}
				if a, b := slices.Sorted(maps.Keys(their)), slices.Sorted(maps.Keys(our)); !slices.Equal(a, b) {
					t.Fatalf("devices: nvcdi has %q, we have %q", a, b)
				}
				var found []difference
				for device := range our {
					found = append(found, compare(their[device], our[device])...)
				}
				slices.SortFunc(found, func(a, b difference) int { return strings.Compare(a.String(), b.String()) })
				for _, d := range slices.Compact(found) {
					i := slices.IndexFunc(differences, func(x explained) bool { return x.covers(name, what, d) })
					if i < 0 {
						t.Errorf("asked for %s: not explained: %s", what, d)
						continue
					}
					used[i] = true
				}
			}
		})
	}
	if t.Failed() {
		return
	}
	for i, d := range differences {
		if !used[i] && !d.expected {
			t.Errorf("nothing differs so any more: %+v", d)
		}
	}
}

// difference is one thing that only one of the two puts in.
type difference struct{ who, kind, name string }

func (d difference) String() string { return fmt.Sprintf("only %s: %s %s", d.who, d.kind, d.name) }

// explained is a difference that is meant. Empty fields and "*" fit everything.
type explained struct {
	machine, asked, who, kind string
	names                     []string // patterns of path.Match, of the base name if there is no slash in it
	why                       string
	expected                  bool // it may be that no fake machine shows it yet
}

func (x explained) covers(machine, asked string, d difference) bool {
	if x.machine != "" && x.machine != machine || x.asked != "" && x.asked != asked || x.who != d.who || x.kind != d.kind {
		return false
	}
	return slices.ContainsFunc(x.names, func(p string) bool {
		name := d.name
		if !strings.Contains(p, "/") {
			name = path.Base(name)
		}
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

func compare(their, our *choice) []difference {
	var out []difference
	diff := func(kind string, a, b []string) {
		for _, n := range a {
			if !slices.Contains(b, n) {
				out = append(out, difference{"theirs", kind, n})
			}
		}
		for _, n := range b {
			if !slices.Contains(a, n) {
				out = append(out, difference{"ours", kind, n})
			}
		}
	}
	diff("node", their.Nodes, our.Nodes)
	diff("file", slices.Collect(maps.Keys(their.Files)), slices.Collect(maps.Keys(our.Files)))
	for real, name := range their.Files {
		if n, both := our.Files[real]; both && n != name {
			out = append(out, difference{"ours", "name", name + " is " + n})
		}
	}
	// A link counts if the library is there: what it is called has to lead to the same file.
	their.trim()
	our.trim()
	diff("link", slices.Collect(maps.Keys(their.Links)), slices.Collect(maps.Keys(our.Links)))
	for name := range their.Links {
		if a, b := their.end(name), our.end(name); our.Links[name] != "" && a != b {
			out = append(out, difference{"ours", "link", name + " leads to " + b + " and not " + a})
		}
	}
	return out
}

// end is the file that a name leads to, or "".
func (c *choice) end(name string) string {
	for range len(c.Links) + 1 {
		to, ok := c.Links[name]
		if !ok {
			break
		}
		name = path.Base(to)
	}
	for _, n := range c.Files {
		if n == name {
			return n
		}
	}
	return ""
}

// trim drops the links that lead nowhere.
func (c *choice) trim() {
	for name := range c.Links {
		if c.end(name) == "" {
			delete(c.Links, name)
		}
	}
}

// TestSameRefusals holds what the two say of broken machines: where one goes on and the other does not,
// there is a reason.
func TestSameRefusals(t *testing.T) {
	testenv.Need(t, "root")
	check := func(name, who, want string, err error) {
		switch {
		case err == nil && want != "":
			t.Errorf("%s: %s goes on, and gave up with: %s", name, who, want)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %s says %q, and said %q", name, who, err, want)
		}
	}
	for _, name := range gputest.Broken() {
		want, ok := refusals[name]
		if !ok {
			t.Errorf("%s: a broken machine that nobody thought about", name)
			continue
		}
		if (want.theirs == "") != (want.ours == "") && want.why == "" {
			t.Errorf("%s: one goes on, and nobody says why", name)
		}
		m := gputest.New(t, name)
		if want.theirs != notRun {
			_, err := theirs(t, m)
			check(name, "nvcdi", want.theirs, err)
		}
		_, err := choose(m, nil)
		check(name, "gpu/inject", want.ours, err)
	}
}
