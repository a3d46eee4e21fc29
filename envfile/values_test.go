package envfile

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseBase(t *testing.T) {
	sha := "sha256:" + strings.Repeat("a", 64)
	for s, want := range map[string]Base{
		"debian":                              {Kind: BaseRegistry, Ref: "debian"},
		"debian:trixie-slim":                  {Kind: BaseRegistry, Ref: "debian:trixie-slim"},
		"a/b__c/d.e-f:1@" + sha:               {Kind: BaseRegistry, Ref: "a/b__c/d.e-f:1@" + sha},
		"Registry.example.org:5000/team/i:V1": {Kind: BaseRegistry, Ref: "Registry.example.org:5000/team/i:V1"},
		"localhost:5000/i":                    {Kind: BaseRegistry, Ref: "localhost:5000/i"},
		"[::1]:5000/i":                        {Kind: BaseRegistry, Ref: "[::1]:5000/i"},
		"oci:layouts/a":                       {Kind: BaseOCI, Ref: "layouts/a", Path: "layouts/a"},
		"oci:layouts/a:v1":                    {Kind: BaseOCI, Ref: "layouts/a:v1", Path: "layouts/a", Tag: "v1"},
		"oci-archive:/x/a.tar":                {Kind: BaseOCIArchive, Ref: "/x/a.tar", Path: "/x/a.tar"},
		"docker-archive:a.tar":                {Kind: BaseDockerArchive, Ref: "a.tar", Path: "a.tar"},
		"dir:root fs":                         {Kind: BaseDir, Ref: "root fs", Path: "root fs"},
		"deb:trixie":                          {Kind: BaseDeb, Ref: "trixie", Suite: "trixie", Packages: []string{}},
		"deb:trixie+python3+git":              {Kind: BaseDeb, Ref: "trixie+python3+git", Suite: "trixie", Packages: []string{"python3", "git"}},
		"deb:bookworm-updates+g+++libstdc++6": {Kind: BaseDeb, Ref: "bookworm-updates+g+++libstdc++6", Suite: "bookworm-updates", Packages: []string{"g+++libstdc++6"}},
		"deb:trixie+g++-12+libstdc++6":        {Kind: BaseDeb, Ref: "trixie+g++-12+libstdc++6", Suite: "trixie", Packages: []string{"g++-12", "libstdc++6"}},
	} {
		got, err := ParseBase(s)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
		if got.String() != s {
			t.Errorf("%s is written %s", s, got)
		}
	}
	for _, s := range []string{
		"", ":", "@", "a:", "a@", "a@sha256:abc", "A/b", "-a", "a-", "a..b", "a___b", "a//b", "/a", "a/", "a b", "a:b:c", "a:-x",
		"https://r.example.org/a", "r.example.org:99999/a", "oci:", "oci:a:", "oci:-a", "oci:a:b c", "oci-archive:", "docker-archive:", "dir:", "dir:-x",
		"deb:", "deb:+git", "deb:tri xie", "deb:../x", "deb:a/b", "deb:trixie+G", "deb:trixie+-x", "a\x00b", "é", strings.Repeat("a", 300),
	} {
		if got, err := ParseBase(s); err == nil {
			t.Errorf("%q is taken: %+v", s, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]Size{
		"0B": 0, "1B": 1, "1kB": 1000, "1KiB": 1024, "500 MB": 500e6, "16GiB": 16 << 30, "1.5TB": 15e11, "0.5KiB": 512, "1.0001KiB": 1024,
		"1024PiB": 1 << 60,
	} {
		got, err := ParseSize(s)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s is written %s, which is %d, %v", s, got, again, err)
		}
	}
	for _, s := range []string{
		"", "B", "1", "16G", "1gb", "1Gib", "-1GB", "+1GB", "1e3GB", "1_000B", ".5GB", "5.GB", "1..5GB", "1/2GB", "0x10B", "1GBB", "1 G B", "∞GB",
		"1025PiB", "99999999999999999999B", strings.Repeat("9", 1000) + "B", "1." + strings.Repeat("9", 100000) + "GB",
	} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%.40q is taken: %d", s, got)
		}
	}
	if got := Size(1000).String(); got != "1kB" {
		t.Error(got)
	}
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0s", "-1m", "1", "d", "0d", "-1d", "1.5d", "99999999d", "1 h"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q is taken: %v", s, got)
		}
	}
}

// A shell line gets its arguments whole, keeps its exit code, and is run as written without any.
func TestCommandsRunAsWritten(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		run  Command
		args []string
		out  string
		code int
	}{
		{Command{Shell: "echo a"}, nil, "a\n", 0},
		{Command{Shell: "echo a"}, []string{"b c", "$d", "'e"}, "a b c $d 'e\n", 0},
		{Command{Shell: "\necho a\necho b\n"}, []string{"c"}, "a\nb c\n", 0},
		{Command{Shell: "false\n"}, nil, "", 1},
		{Command{Shell: "echo $0"}, nil, "task\n", 0},
		{Command{Shell: "echo 1:$1 all:$*"}, []string{"x", "y"}, "1:x all:x y\n", 0},
		{Command{Shell: `for a in "$@"; do echo "$a"; done`}, []string{"x y"}, "x y\n", 0},
		{Command{Shell: `printf %s\ `}, []string{"x"}, "x ", 0},
		{Command{Args: []string{sh, "-c", "echo $#", "x"}}, []string{"a", "b"}, "2\n", 0},
	} {
		argv := c.run.Argv("task", c.args)
		cmd := exec.Command(argv[0], argv[1:]...)
		out, _ := cmd.Output()
		if string(out) != c.out || cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("%q %q: %q, exit %d", c.run, c.args, out, cmd.ProcessState.ExitCode())
		}
	}
	list := Command{Args: make([]string, 1, 10)}
	list.Args[0] = "a"
	one, two := list.Argv("", []string{"b"}), list.Argv("", []string{"c"})
	if one[1] != "b" || two[1] != "c" {
		t.Error("two argument lists share memory")
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		have, want string
		ok         bool
	}{
		{"1.2.3", ">=1.2", true}, {"1.2.0", ">=1.2", true}, {"1.2", ">=1.2.1", false}, {"1.10.0", ">=1.9", true}, {"2.0", ">= 10", false},
		{"v1.2.3-rc1+g1", ">=1.2.3", true}, {"devel", ">=99", true}, {"(devel)", ">=99", true}, {"", ">=99", true},
	} {
		if satisfies(c.have, c.want) != c.ok {
			t.Errorf("%s %s is not %t", c.have, c.want, c.ok)
		}
	}
	for _, s := range []string{"", "1.2", ">1.2", ">=", ">=x", ">=1.2.3.4", ">=-1", ">=1..2", ">=v1", ">=99999999999", ">=+1"} {
		if checkRequires(s) == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func BenchmarkParseAndResolve(b *testing.B) {
	text := []byte(everyKey(b))
	for b.Loop() {
		d, err := Parse("sandbox.toml", text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Resolve(ResolveOptions{Profiles: []string{"cpu"}}); err != nil {
			b.Fatal(err)
		}
	}
}
