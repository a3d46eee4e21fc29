package envfile

import (
	"net/url"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/envfile/toolchain"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

var pythonVersionLine = lazyregexp.New(`^(?:cpython-|python-)?(3\.\d+)(\.\d+)?$`)

// pythonVersion asks the files in the order of how deliberately they say it.
func (s *suggestion) pythonVersion() {
	if src, ok := s.files[".python-version"]; ok {
		s.usesPy = true
		line, _, _ := strings.Cut(strings.TrimSpace(string(src)), "\n")
		if m := pythonVersionLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			s.setPython(m[1], ".python-version")
			if m[2] != "" {
				s.note("python %s of .python-version became %s: the lock pins the rest", m[1]+m[2], m[1])
			}
		} else {
			s.note("not understood in .python-version: %s", line)
		}
	}
	project, _ := s.toml("pyproject.toml")["project"].(map[string]any)
	if v, ok := project["requires-python"].(string); ok {
		s.setPython(v, "pyproject.toml")
	}
	if v, ok := s.toml("uv.lock")["requires-python"].(string); ok {
		s.setPython(v, "uv.lock")
	}
	poetry := poetryDeps(s.toml("pyproject.toml"))
	if v, ok := poetry["python"].(string); ok {
		s.setPython(caret(v), "pyproject.toml")
	}
}

func (s *suggestion) setPython(want, from string) {
	want = strings.TrimSpace(want)
	if s.python != "" || want == "" {
		return
	}
	s.usesPy = true
	if v, ok := strings.CutSuffix(want, ".*"); ok {
		want = strings.TrimPrefix(v, "==") // any 3.12 is the prefix 3.12
	}
	if _, err := toolchain.ParseConstraint(want); err != nil || checkTool(want) != nil {
		s.note("not understood in %s: python %s", from, want)
		return
	}
	s.python, s.pyFrom = want, from
}

// caret reads Poetry's "^3.10", which is ">=3.10,<4".
func caret(v string) string {
	rest, ok := strings.CutPrefix(v, "^")
	if !ok {
		return v
	}
	return ">=" + rest + ",<4"
}

// toml reads one of the files; what cannot be read has nothing.
func (s *suggestion) toml(name string) map[string]any {
	src, ok := s.files[name]
	if !ok {
		return nil
	}
	if _, err := scanTOML(src); err != nil {
		s.note("%s is not valid: %v", name, err)
		return nil
	}
	doc, err := decodeDoc(src)
	if err != nil {
		s.note("%s is not valid: %v", name, err)
		return nil
	}
	return doc
}

func poetryDeps(doc map[string]any) map[string]any {
	tool, _ := doc["tool"].(map[string]any)
	poetry, _ := tool["poetry"].(map[string]any)
	deps, _ := poetry["dependencies"].(map[string]any)
	return deps
}

// pythonPackages chooses one source of packages: a lock before a project before requirements.
func (s *suggestion) pythonPackages() {
	doc := s.toml("pyproject.toml")
	project, hasProject := doc["project"].(map[string]any)
	deps := anyStrings(project["dependencies"])
	for _, d := range deps {
		s.sawPackage(requirementName(d))
	}
	dynamic := slices.Contains(anyStrings(project["dynamic"]), "dependencies")
	switch {
	case s.toml("uv.lock") != nil:
		s.project = "uv.lock"
	case s.toml("pylock.toml") != nil:
		s.project = "pylock.toml"
	case hasProject && (len(deps) > 0 || s.files["requirements.txt"] == nil || dynamic):
		s.project = "."
		if extras, ok := project["optional-dependencies"].(map[string]any); ok && len(extras) > 0 {
			s.note("extras of pyproject.toml are left out; add them with `extras` in [python]: %s", sortedNames(extras))
		}
	}
	if s.project != "" {
		s.usesPy = true
		if s.files["requirements.txt"] != nil {
			s.note("requirements.txt is not used: %s says what is needed", or(map[string]string{".": "pyproject.toml"}[s.project], s.project))
		}
	} else if src, ok := s.files["requirements.txt"]; ok {
		s.reqs = []string{"requirements.txt"}
		s.requirements(src)
	}
	if poetry := poetryDeps(doc); len(poetry) > 0 && s.project == "" {
		s.note("dependencies of [tool.poetry] are not taken over; `poetry export -o requirements.txt` writes a file that is")
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func anyStrings(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, x := range list {
		if t, ok := x.(string); ok {
			out = append(out, t)
		}
	}
	return out
}

func sortedNames(m map[string]any) string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// requirements looks through a requirements file for what needs a word: the file itself stays the
// source.
func (s *suggestion) requirements(src []byte) {
	s.usesPy = true
	for _, line := range requirementLines(src) {
		opt, arg := requirementOption(line)
		switch opt {
		case "":
			s.sawPackage(requirementName(line))
			if strings.Contains(line, "git+") || strings.HasSuffix(line, ".tar.gz") {
				s.note("needs to be built from source, see [python.build.NAME]: %s", line)
			}
		case "-i", "--index-url", "--extra-index-url":
			s.addIndex(arg)
		case "-e", "--editable":
			s.note("editable, so it is not installed from requirements.txt; see `project` in [python]: %s", arg)
		case "-f", "--find-links":
			s.note("not taken over from requirements.txt: %s", line)
		}
	}
}

func (s *suggestion) addIndex(address string) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || checkURL(address) != nil {
		s.note("an index of requirements.txt was left out: its address holds credentials or is none")
		return
	}
	if !slices.Contains(s.indexes, address) {
		s.indexes = append(s.indexes, address)
	}
}

// leftOver names files that say something and were not read.
func (s *suggestion) leftOver() {
	if s.project != "" || len(s.reqs) > 0 {
		return
	}
	for _, f := range []string{"poetry.lock", "Pipfile", "setup.py"} {
		if _, ok := s.files[f]; ok {
			s.usesPy = true
			s.note("not read: %s", f)
		}
	}
}
