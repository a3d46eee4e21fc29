package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// allCommands are the root and everything below it, without what cobra adds.
func allCommands() []*cobra.Command {
	var out []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		out = append(out, c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&app{}, ""))
	return out
}

// noData are the commands whose standard output is nothing, the program's, or one sentence.
var noData = []string{
	"sandbox", "sandbox gpu", "sandbox completion", "sandbox help",
	"sandbox init", "sandbox lock", "sandbox add", "sandbox remove",
	"sandbox run", "sandbox shell", "sandbox rm", "sandbox rmi",
}

func TestEveryCommandExplainsItself(t *testing.T) {
	seen := 0
	for _, c := range allCommands() {
		seen++
		name := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: a line without a period says what it is for: %q", name, c.Short)
		}
		if c.Example == "" || !strings.Contains(c.Example, name) {
			t.Errorf("%s: no example of it in\n%s", name, c.Example)
		}
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for _, must := range []string{"EXIT STATUS", "Examples:", "Usage:"} {
			if strings.Count(out.String(), must) != 1 {
				t.Errorf("%s --help has no %q, or several:\n%s", name, must, out.String())
			}
		}
		if asJSON := c.Flags().Lookup("json") != nil; asJSON == slices.Contains(noData, name) {
			t.Errorf("%s: --json %t; it is for what prints data", name, asJSON)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: %q", name, f.Name, f.Usage)
			}
		})
		for line := range strings.SplitSeq(c.Long+"\n"+c.Example, "\n") {
			if n := len([]rune(line)); n > 120 {
				t.Errorf("%s: a line of %d characters: %s", name, n, line)
			}
		}
	}
	if seen < len(commands)+4 {
		t.Errorf("only %d commands were looked at", seen)
	}
}

// Flags that mean the same are called the same, and every verb about a project has them.
func TestVerbsOfAProjectHaveTheSameFlags(t *testing.T) {
	for _, c := range allCommands() {
		if c.Flags().Lookup("profile") == nil {
			continue
		}
		dir := c.Flags().Lookup("dir")
		if dir == nil || dir.Shorthand != "C" {
			t.Errorf("%s has --profile and no -C", c.CommandPath())
		}
		if c.Flags().Lookup("offline") == nil && c.Name() != "why" { // it fetches nothing
			t.Errorf("%s has --profile and no --offline", c.CommandPath())
		}
	}
	for _, name := range []string{"lock", "add", "remove", "build", "verify", "trust", "run", "shell", "plan", "export", "push"} {
		i := slices.IndexFunc(allCommands(), func(c *cobra.Command) bool { return c.CommandPath() == "sandbox "+name })
		if i < 0 || allCommands()[i].Flags().Lookup("profile") == nil {
			t.Errorf("%s has no --profile", name)
		}
	}
}

// The values of these flags can be completed.
func TestFlagsAreCompleted(t *testing.T) {
	for _, c := range allCommands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			switch f.Name {
			case "image", "profile", "network", "cuda-compat", "platform":
			default:
				if f.Name != "name" || c.Name() == "export" { // it is a new one there
					return
				}
			}
			if _, ok := c.GetFlagCompletionFunc(f.Name); !ok {
				t.Errorf("%s --%s is not completed", c.CommandPath(), f.Name)
			}
		})
	}
}

func TestListsInJSONAreNeverNull(t *testing.T) {
	type inner struct {
		Names []string `json:"names"`
		Gone  []string `json:"gone,omitempty"`
	}
	type outer struct {
		List  []inner          `json:"list"`
		One   *inner           `json:"one"`
		None  *inner           `json:"none"`
		Map   map[string]inner `json:"map"`
		Any   any              `json:"any"`
		Raw   json.RawMessage  `json:"raw"`
		inner                  // what is not exported stays as it is
	}
	in := outer{List: []inner{{}}, One: &inner{}, Map: map[string]inner{"a": {}}, Any: inner{}, Raw: json.RawMessage("null")}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{out: f}
	for _, v := range []any{in, []string(nil), nil} {
		if err := a.json(v); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"list":[{"names":[]}],"one":{"names":[]},"none":null,"map":{"a":{"names":[]}},"any":{"names":[]},"raw":null,"names":null}[]null`
	got := strings.NewReplacer(" ", "", "\n", "").Replace(string(b))
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestTheREADMENamesEveryCommand(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if c.name != "help" && !strings.Contains(string(b), "`"+c.name+"`") && !strings.Contains(string(b), "\nsandbox "+c.name+" ") {
			t.Errorf("README.md does not name %s", c.name)
		}
	}
}
