package repotest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Hosts of public package archives and indexes, in pieces: this file must not name them either. Where
// packages come from is said by the user, the host and the tools, never by a constant of ours.
var hosts = [][]string{
	{"deb", "debian", "org"}, {"security", "debian", "org"}, {"snapshot", "debian", "org"}, {"ftp", "debian", "org"}, {"httpredir", "debian", "org"},
	{"cdn-fastly.deb", "debian", "org"}, {"archive", "ubuntu", "com"}, {"security", "ubuntu", "com"}, {"ports", "ubuntu", "com"},
	{"snapshot", "ubuntu", "com"}, {"ppa", "launchpad", "net"}, {"ppa", "launchpadcontent", "net"},
	{"pypi", "org"}, {"files", "pythonhosted", "org"}, {"pypi", "python", "org"}, {"download", "pytorch", "org"}, {"pypi", "nvidia", "com"}, {"pypi", "ngc", "nvidia", "com"},
	{"conda", "anaconda", "org"}, {"repo", "anaconda", "com"}, {"registry", "npmjs", "org"}, {"registry", "yarnpkg", "com"},
	{"proxy", "golang", "org"}, {"sum", "golang", "org"}, {"goproxy", "io"}, {"goproxy", "cn"}, {"index", "crates", "io"}, {"static", "crates", "io"}, {"rubygems", "org"},
	{"dl-cdn", "alpinelinux", "org"}, {"dl", "fedoraproject", "org"},
}

// mirrors is what others are called; names reserved for examples are fine.
var mirrors = regexp.MustCompile(`(?i)\b(mirrors?|ftp\d?|ftp\.[a-z]{2})\.([a-z0-9-]+\.)+(org|com|net|edu|cn|de|io)\b`)

func TestNoHostOfAPackageArchiveIsNamed(t *testing.T) {
	var all []string
	for _, h := range hosts {
		all = append(all, regexp.QuoteMeta(strings.Join(h, ".")))
	}
	named := regexp.MustCompile(`(?i)(^|[^a-z0-9-])(` + strings.Join(all, "|") + `)($|[^a-z0-9-])`)
	for _, name := range files(t) {
		text := content(t, name)
		for i, line := range strings.Split(text, "\n") {
			found := named.FindString(line)
			if m := mirrors.FindString(line); found == "" && m != "" && !strings.Contains(m, "example.") {
				found = m
			}
			if found != "" {
				t.Errorf("%s:%d names the package host %q", name, i+1, strings.TrimSpace(found))
			}
		}
	}
}

func TestWhatARepositoryHas(t *testing.T) {
	for _, name := range []string{
		"README.md", "LICENSE", "Makefile", ".ci/run",
		"docs/architecture.md", "docs/state.md", "docs/messages.md", "docs/benchmarks.md", "docs/decisions/README.md",
		"examples/hello/sandbox.toml", "examples/numpy/sandbox.toml", "examples/train-digits/sandbox.toml",
	} {
		if fi, err := os.Stat(filepath.Join(root(), name)); err != nil || fi.Size() == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	if fi, err := os.Stat(filepath.Join(root(), ".ci/run")); err == nil && fi.Mode()&0o111 == 0 {
		t.Error(".ci/run cannot be executed")
	}
}

// scripts are the texts of the command line's tests, by name.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range files(t) {
		if strings.HasPrefix(name, "cmd/sandbox/testdata/script/") && strings.HasSuffix(name, ".txtar") {
			out[name] = content(t, name)
		}
	}
	return out
}

// commands are the lines of a script that do something: neither comments nor the files behind them.
func commands(script string) []string {
	script, _, _ = strings.Cut("\n"+script, "\n-- ")
	var out []string
	for line := range strings.SplitSeq(script, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// An example is run by a script that has its files and starts something in them; one that needs a GPU is locked.
func TestEveryExampleIsRun(t *testing.T) {
	dirs, err := os.ReadDir(filepath.Join(root(), "examples"))
	if err != nil {
		t.Fatal(err)
	}
	all := scripts(t)
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		name := regexp.MustCompile(`(\$EXAMPLES|\bexamples)/` + regexp.QuoteMeta(d.Name()) + `\b`)
		starts := regexp.MustCompile(`\bsandbox (-q )?(run|lock)\b|\bmake demo\b`)
		used := ""
		for file, text := range all {
			lines := commands(text)
			if slices.ContainsFunc(lines, name.MatchString) && slices.ContainsFunc(lines, starts.MatchString) {
				used = file
			}
		}
		if used == "" {
			t.Errorf("no script of cmd/sandbox/testdata/script runs examples/%s", d.Name())
		}
		t.Logf("examples/%s: %s", d.Name(), used)
	}
}

// In README.md every block of commands is preceded by a comment that names the file that runs them:
//
//	<!-- run by cmd/sandbox/testdata/script/readme.txtar -->
//	```sh
//	sandbox run train       # a comment
//	```
var (
	block  = regexp.MustCompile("(?m)(?:^<!-- run by (\\S+) -->\\n)?^```(sh|console)\\n((?:.*\\n)*?)```$")
	prompt = regexp.MustCompile(`^\$ `)
	remark = regexp.MustCompile(`\s+#.*$`)
	fence  = regexp.MustCompile("(?m)^```(\\w*)\\n((?:.*\\n)*?)```$")
	ours   = regexp.MustCompile(`^(\$ )?(sandbox|make|bin/sandbox) `)
	shown  = regexp.MustCompile("(?m)^<!-- (\\S+) -->\\n```\\w+\\n((?:.*\\n)*?)```$")
)

// A file that the README shows is the file: `<!-- examples/hello/sandbox.toml -->` before a block.
func TestFilesOfTheREADMEAreTheFiles(t *testing.T) {
	found := shown.FindAllStringSubmatch(content(t, "README.md"), -1)
	if len(found) == 0 {
		t.Error("the README shows no env file")
	}
	for _, f := range found {
		if want := content(t, f[1]); f[2] != want {
			t.Errorf("README.md shows another %s; it is\n%s", f[1], want)
		}
	}
}

// Every package has a row in the table of docs/architecture.md, and the files to start with are there.
func TestArchitectureNamesEveryFolder(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| (`[^|]*) \\| [^|]* \\| ([^|]*) \\|$").FindAllStringSubmatch(content(t, "docs/architecture.md"), -1)
	word := regexp.MustCompile("`([^`]+)`")
	var folders []string
	for _, r := range rows {
		var mine []string
		for _, m := range word.FindAllStringSubmatch(r[1], -1) {
			mine = append(mine, strings.TrimSuffix(m[1], "/"))
		}
		folders = append(folders, mine...)
		for _, m := range word.FindAllStringSubmatch(r[2], -1) {
			there := slices.ContainsFunc(append(mine, "."), func(dir string) bool {
				_, err := os.Stat(filepath.Join(root(), dir, m[1]))
				return err == nil
			})
			if !there {
				t.Errorf("docs/architecture.md: %s has no %s to start with", strings.Join(mine, ", "), m[1])
			}
		}
	}
	for _, p := range packages(t) {
		named := func(dir string) bool {
			below := dir == "internal" || dir == "sandbox/internal" || dir == "bench" || strings.HasPrefix(dir, "gpu")
			return p.Path == dir || below && strings.HasPrefix(p.Path, dir+"/")
		}
		if !slices.ContainsFunc(folders, named) {
			t.Errorf("docs/architecture.md has no row for %s", p.Path)
		}
	}
}

func TestCommandsOfTheREADMEAreRun(t *testing.T) {
	tracked := files(t)
	if !slices.Contains(tracked, "README.md") {
		t.Fatal("no README.md")
	}
	readme := content(t, "README.md")
	blocks := block.FindAllStringSubmatch(readme, -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no commands")
	}
	for _, f := range fence.FindAllStringSubmatch(readme, -1) {
		if f[1] == "sh" || f[1] == "console" {
			continue
		}
		for line := range strings.SplitSeq(f[2], "\n") {
			if ours.MatchString(line) {
				t.Errorf("README.md: a command in a block that is not marked as commands: %s", line)
			}
		}
	}
	for _, b := range blocks {
		by, lines := b[1], b[3]
		if !slices.Contains(tracked, by) {
			t.Errorf("README.md: no file %q is said to run\n%s", by, lines)
			continue
		}
		text := strings.Join(commands(content(t, by)), "\n")
		if by == "Makefile" || strings.HasPrefix(by, ".ci/") {
			text = content(t, by)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
			if b[2] == "console" && !prompt.MatchString(line) {
				continue // output
			}
			line = strings.TrimSpace(remark.ReplaceAllString(prompt.ReplaceAllString(line, ""), ""))
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if !runs(text, line) {
				t.Errorf("README.md says %q, and %s does not run it", line, by)
			}
			t.Logf("%-60s %s", line, by)
		}
	}
}

// runs reports whether a line of the script is the command, after exec and the like.
func runs(script, command string) bool {
	for line := range strings.SplitSeq(script, "\n") {
		line = strings.TrimSpace(line)
		for _, p := range []string{"exec ", "! exec "} {
			line = strings.TrimPrefix(line, p)
		}
		if line == command {
			return true
		}
	}
	return false
}
