package envfile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/4cc2e759/sandbox/envfile/toolchain"
)

// defaultSuite is the Debian release that a new env file starts from.
const defaultSuite = "trixie"

// maxInit bounds each file; locks of uv are the largest.
const maxInit = 8 << 20

// InitFiles are the files that [Suggest] knows how to read: names in the project's own folder.
func InitFiles() []string {
	return append([]string{"Dockerfile", ".python-version", "uv.lock", "pylock.toml", "pyproject.toml", "requirements.txt",
		"environment.yml", "environment.yaml", "poetry.lock", "Pipfile", "setup.py"}, scripts()...)
}

// Suggest writes a first env file from what a project has: files holds those of [InitFiles] that
// exist, name is the folder's. The text is valid and commented; notes say what was chosen for a
// reason one does not see, and what was found and not taken over. Nothing of the files is run.
func Suggest(files map[string][]byte, name string) (text []byte, notes []string) {
	s := &suggestion{files: map[string][]byte{}, name: printable(name), tools: map[string]string{}, env: map[string]string{}}
	for _, f := range InitFiles() {
		src, ok := files[f]
		switch {
		case !ok:
		case len(src) > maxInit || !isText(strings.ReplaceAll(string(src), "\r\n", "\n")):
			s.note("not text of a usual size: %s", f)
		default:
			s.files[f] = append([]byte{}, bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))...) // not nil: an empty file is there, too
		}
	}
	s.dockerfile()
	s.conda()
	s.pythonVersion()
	s.pythonPackages()
	s.leftOver()
	s.chooseBase()
	text = []byte(s.render())
	if _, err := Parse("sandbox.toml", text); err != nil {
		// Every value was checked before; should one have slipped through, a plain file is better than none.
		plain := &suggestion{name: s.name, base: "deb:" + defaultSuite, tools: map[string]string{}}
		return []byte(plain.render()), append(s.notes, "what was found could not be written down: "+err.Error())
	}
	return text, s.notes
}

// isText reports whether s is what people write: other control characters than these have no place in
// an env file.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// suggestion is what has been found so far.
type suggestion struct {
	files map[string][]byte
	name  string
	notes []string

	base    string
	python  string // a constraint; "" if nothing says so
	pyFrom  string // which file says so
	usesPy  bool
	tools   map[string]string
	apt     []string
	reqs    []string // requirements files
	pkgs    []string // packages
	project string
	indexes []string
	env     map[string]string
	cmd     string // of a Dockerfile, as a TOML value
	gpu     string // the package that wants one
}

func (s *suggestion) note(format string, args ...any) {
	if n := printable(fmt.Sprintf(format, args...)); !slices.Contains(s.notes, n) {
		s.notes = append(s.notes, n)
	}
}

func (s *suggestion) addApt(pkgs ...string) {
	for _, p := range pkgs {
		if checkAptPackage(p) == nil && !slices.Contains(s.apt, p) {
			s.apt = append(s.apt, p)
		}
	}
}

// addPackage takes a requirement; it reports whether it is one.
func (s *suggestion) addPackage(req string) bool {
	req = strings.TrimSpace(req)
	if checkRequirement(req) != nil {
		return false
	}
	name := requirementName(req)
	if !slices.ContainsFunc(s.pkgs, func(p string) bool { return requirementName(p) == name }) {
		s.pkgs = append(s.pkgs, req)
	}
	s.sawPackage(name)
	return true
}

// sawPackage remembers what is used on GPUs.
func (s *suggestion) sawPackage(name string) {
	s.usesPy = true
	if slices.Contains([]string{"torch", "jax", "tensorflow", "vllm", "xformers", "flash-attn", "cupy-cuda12x", "deepspeed", "lightning"}, name) && s.gpu == "" {
		s.gpu = name
	}
}

// chooseBase takes the Dockerfile's base, or the Debian release whose Python fits.
func (s *suggestion) chooseBase() {
	if s.base != "" {
		if s.python != "" {
			s.tools["python"] = s.python
		}
		return
	}
	s.base = "deb:" + defaultSuite
	for _, f := range scripts() {
		s.usesPy = s.usesPy || s.files[f] != nil
	}
	if !s.usesPy && s.python == "" {
		return
	}
	want := s.python
	if want == "" {
		want = "auto"
	}
	c, err := toolchain.ParseConstraint(want)
	if err != nil {
		s.note("not understood in %s: %s", s.pyFrom, want)
		c, _ = toolchain.ParseConstraint("auto")
	}
	suite, version := toolchain.SuiteForPython(c, defaultSuite)
	if suite == "" {
		s.tools["python"] = want
		image := "an image that has it"
		if all(want, with(isDigit, ".")) {
			image = "python:" + want + "-slim"
		}
		s.note("no Debian release has python %s, which %s asks for: write another base, such as %s", want, s.pyFrom, image)
		return
	}
	if suite != defaultSuite {
		s.note("base deb:%s: its python is %s, as %s asks for", suite, version, s.pyFrom)
	}
	s.base, s.tools["python"] = "deb:"+suite, version
}

// scripts are files that a project is usually started by.
func scripts() []string { return []string{"train.py", "main.py", "app.py"} }

// tomlText builds a file of tables with a blank line between them.
type tomlText struct{ strings.Builder }

func (t *tomlText) table(header, comment string) {
	t.WriteString("\n[" + header + "]")
	if comment != "" {
		t.WriteString("   # " + comment)
	}
	t.WriteString("\n")
}

func (t *tomlText) value(key, v string) { t.WriteString(key + " = " + v + "\n") }

func (t *tomlText) list(key string, v []string) {
	if len(v) == 0 {
		return
	}
	if one := listTOML(v); len(one) < 90 {
		t.value(key, one)
		return
	}
	t.WriteString(key + " = [\n")
	for _, s := range v {
		t.WriteString("  " + quoteTOML(s) + ",\n")
	}
	t.WriteString("]\n")
}

func (s *suggestion) render() string {
	var t tomlText
	t.WriteString("# The environment of " + s.name + ". `sandbox shell` opens it, `sandbox lock` pins it; commit this file and sandbox.lock.\nschema = 1\n")
	t.table("image", "")
	t.value("base", quoteTOML(s.base))
	if len(s.tools) > 0 {
		t.table("toolchain", "claims about the finished environment; `sandbox verify` proves them")
		for _, name := range slices.Sorted(maps.Keys(s.tools)) {
			t.value(name, quoteTOML(s.tools[name]))
		}
	}
	if len(s.apt) > 0 {
		t.table("apt", "")
		t.list("packages", s.apt)
	}
	s.renderPython(&t)
	if s.gpu != "" {
		t.table("gpu", s.gpu+" uses one if there is one")
		t.value("need", `"optional"`)
	}
	if len(s.env) > 0 {
		t.table("env.set", "")
		for _, k := range slices.Sorted(maps.Keys(s.env)) {
			t.value(k, quoteTOML(s.env[k]))
		}
	}
	s.renderTasks(&t)
	return t.String()
}

func (s *suggestion) renderPython(t *tomlText) {
	if s.project == "" && len(s.reqs)+len(s.pkgs)+len(s.indexes) == 0 {
		return
	}
	t.table("python", "")
	if s.project != "" {
		t.value("project", quoteTOML(s.project))
	}
	t.list("requirements", s.reqs)
	t.list("packages", s.pkgs)
	for i, url := range s.indexes {
		t.WriteString("\n[[python.index]]\n")
		t.value("name", fmt.Sprintf(`"index%d"`, i+1))
		t.value("url", quoteTOML(url))
	}
}

func (s *suggestion) renderTasks(t *tomlText) {
	if s.cmd != "" {
		t.table("task.default", "what `sandbox run default` does, and the exported image without a command")
		t.value("run", s.cmd)
		return
	}
	for _, f := range scripts() {
		if _, ok := s.files[f]; ok {
			task := strings.TrimSuffix(f, ".py")
			t.table("task."+task, "`sandbox run "+task+" ARGS…`")
			t.value("run", quoteTOML("python "+f))
			return
		}
	}
	t.WriteString("\n# [task.train]\n# run = \"python train.py\"   # `sandbox run train`\n")
}
