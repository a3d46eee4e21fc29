package envfile

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// dockerfile takes a Dockerfile's last base, the packages that it installs with apt, its variables
// and its command. Everything else is named in a note: it is code, and [[step]] is the place for it.
func (s *suggestion) dockerfile() {
	src, ok := s.files["Dockerfile"]
	if !ok {
		return
	}
	d := readDockerfile(string(src))
	if base := d.base(); base == "" || base == "scratch" || checkBase(base) != nil {
		s.note("the base of the Dockerfile was not taken over: %s", or(base, "it depends on an argument"))
	} else {
		s.base = base
		s.note("base and packages come from the Dockerfile; its other lines belong into [[step]]")
	}
	left := map[string]int{}
	entry := false
	for _, in := range d.last() {
		switch in.word {
		case "RUN":
			left["RUN"] += s.dockerRun(in.rest)
		case "ENV":
			s.dockerEnv(d, in.rest)
		case "CMD":
			s.cmd = dockerCommand(in.rest)
		case "ENTRYPOINT":
			entry = true
			left[in.word]++
		case "COPY", "ADD", "USER", "EXPOSE", "VOLUME", "HEALTHCHECK", "SHELL":
			left[in.word]++
		}
	}
	if entry {
		s.cmd = ""
	}
	if len(left) > 0 {
		var words []string
		for w, n := range left {
			if n > 0 {
				words = append(words, w)
			}
		}
		if slices.Sort(words); len(words) > 0 {
			s.note("not taken over from the Dockerfile: %s", strings.Join(words, ", "))
		}
	}
}

type dockerLine struct{ word, rest string }

type dockerText struct {
	args  map[string]string // the defaults of ARG
	lines []dockerLine
}

var dockerVar = lazyregexp.New(`\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))`)

func readDockerfile(text string) dockerText {
	d := dockerText{args: map[string]string{}}
	var cur string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if more, ok := strings.CutSuffix(line, `\`); ok {
			cur += more + " "
			continue
		}
		word, rest, _ := strings.Cut(strings.ReplaceAll(cur+line, "\t", " "), " ")
		cur = ""
		in := dockerLine{strings.ToUpper(word), strings.TrimSpace(rest)}
		if name, v, ok := strings.Cut(in.rest, "="); in.word == "ARG" && ok {
			d.args[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(v), `"'`)
		}
		d.lines = append(d.lines, in)
	}
	return d
}

// expand puts the defaults of arguments in; ok is false where one has none.
func (d dockerText) expand(s string) (out string, ok bool) {
	ok = true
	out = dockerVar.ReplaceAllStringFunc(s, func(v string) string {
		m := dockerVar.FindStringSubmatch(v)
		value := or(d.args[m[1]+m[3]], m[2])
		ok = ok && value != ""
		return value
	})
	return out, ok
}

// base is the image that the last stage starts from, through stages that build on each other.
func (d dockerText) base() string {
	stages, last := map[string]string{}, ""
	for _, in := range d.lines {
		if in.word != "FROM" {
			continue
		}
		words := slices.DeleteFunc(strings.Fields(in.rest), func(w string) bool { return strings.HasPrefix(w, "--") })
		if len(words) == 0 {
			return ""
		}
		image, ok := d.expand(words[0])
		if !ok {
			image = ""
		}
		if from, known := stages[strings.ToLower(image)]; known {
			image = from
		}
		last = image
		if len(words) == 3 && strings.EqualFold(words[1], "AS") {
			stages[strings.ToLower(words[2])] = image
		}
	}
	return last
}

// last are the lines of the last stage.
func (d dockerText) last() []dockerLine {
	for i := len(d.lines) - 1; i >= 0; i-- {
		if d.lines[i].word == "FROM" {
			return d.lines[i+1:]
		}
	}
	return nil
}

var dockerSplit = lazyregexp.New(`&&|\|\||;|\|`)

// dockerRun takes the packages out of a RUN line; it gives 1 where something else is in it.
func (s *suggestion) dockerRun(line string) (left int) {
	for _, cmd := range dockerSplit.Split(line, -1) {
		words := strings.Fields(cmd)
		for len(words) > 0 && (strings.Contains(words[0], "=") || words[0] == "sudo" || strings.HasPrefix(words[0], "--")) {
			words = words[1:]
		}
		switch {
		case len(words) == 0:
		case words[0] == "apt-get" || words[0] == "apt":
			s.dockerApt(words[1:])
		case words[0] == "rm" && strings.Contains(cmd, "/var/lib/apt/lists"):
		case words[0] == "pip" || words[0] == "pip3" || strings.Contains(cmd, "python -m pip") || strings.Contains(cmd, "python3 -m pip"):
			left |= s.dockerPip(words)
		default:
			left = 1
		}
	}
	return left
}

func (s *suggestion) dockerApt(words []string) {
	i := slices.Index(words, "install")
	if i < 0 {
		return
	}
	var bad []string
	for _, w := range words[i+1:] {
		switch w = strings.Trim(w, `"'`); {
		case strings.HasPrefix(w, "-"):
		case checkAptPackage(w) == nil:
			s.addApt(w)
		default:
			bad = append(bad, w)
		}
	}
	if len(bad) > 0 {
		s.note("not taken over from apt-get in the Dockerfile: %s", strings.Join(bad, ", "))
	}
}

// dockerPip takes packages that stand on the command line; requirements files are found by themselves.
func (s *suggestion) dockerPip(words []string) (left int) {
	i := slices.Index(words, "install")
	if i < 0 {
		return 1
	}
	for rest := words[i+1:]; len(rest) > 0; rest = rest[1:] {
		w := strings.Trim(rest[0], `"'`)
		switch {
		case w == "-r" || w == "--requirement" || w == "-c":
			if len(rest) > 1 {
				if name := path.Base(rest[1]); s.files[name] == nil {
					s.note("not found beside the Dockerfile: %s", name)
				}
				rest = rest[1:]
			}
		case w == "-U" || w == "--upgrade" || strings.HasPrefix(w, "--no-") || w == "pip" || w == "setuptools" || w == "wheel":
		case strings.HasPrefix(w, "-") || strings.ContainsAny(w, "/$") || w == "." || !s.addPackage(w):
			return 1
		}
	}
	return 0
}

var dockerEnvPair = lazyregexp.New(`(\w+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)`)

func (s *suggestion) dockerEnv(d dockerText, rest string) {
	pairs := dockerEnvPair.FindAllStringSubmatch(rest, -1)
	if name, v, ok := strings.Cut(rest, " "); ok && !strings.Contains(name, "=") {
		pairs = [][]string{{"", name, strings.TrimSpace(v)}}
	}
	for _, p := range pairs {
		name, v := p[1], strings.Trim(p[2], `"'`)
		v, known := d.expand(v)
		if !known || strings.ContainsAny(v, "$\\") || checkEnvName(name) != nil || name == "PATH" || name == "LD_LIBRARY_PATH" || name == "DEBIAN_FRONTEND" {
			if name != "DEBIAN_FRONTEND" {
				s.note("not taken over from ENV in the Dockerfile: %s", name)
			}
			continue
		}
		s.env[name] = v
	}
}

// dockerCommand is a CMD as a value of the env file; "" if it is no command.
func dockerCommand(rest string) string {
	var args []string
	if json.Unmarshal([]byte(rest), &args) == nil {
		if len(args) == 0 || args[0] == "" || !isText(strings.Join(args, "")) {
			return ""
		}
		return listTOML(args)
	}
	if rest == "" || rest[0] == '[' {
		return ""
	}
	return quoteTOML(rest)
}
