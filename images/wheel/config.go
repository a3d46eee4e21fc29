package wheel

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
)

// configured is what one tool on one level says.
type configured struct {
	from    string
	index   string
	extra   []string
	links   []string
	noIndex bool
}

// maxConfig bounds configuration files.
const maxConfig = 1 << 20

// configured collects what uv's and pip's variables and files say, most specific first.
func (s Settings) configured() []configured {
	get := s.Getenv
	out := []configured{{
		from:    "UV_ variables",
		index:   first(get("UV_DEFAULT_INDEX"), get("UV_INDEX_URL")),
		extra:   append(uvIndexes(get("UV_INDEX")), strings.Fields(get("UV_EXTRA_INDEX_URL"))...),
		links:   strings.FieldsFunc(get("UV_FIND_LINKS"), func(r rune) bool { return r == ',' || r == ' ' }),
		noIndex: truth(get("UV_NO_INDEX")),
	}, {
		from:    "PIP_ variables",
		index:   get("PIP_INDEX_URL"),
		extra:   strings.Fields(get("PIP_EXTRA_INDEX_URL")),
		links:   strings.Fields(get("PIP_FIND_LINKS")),
		noIndex: truth(get("PIP_NO_INDEX")),
	}}
	for _, p := range s.pipFiles() {
		if b, ok := smallFile(p); ok {
			out = append(out, parsePipConf(b, p))
		}
	}
	for _, p := range s.uvFiles() {
		if b, ok := smallFile(p); ok {
			out = append(out, parseUVConf(b, p))
		}
	}
	return out
}

func first(s ...string) string {
	for _, x := range s {
		if x != "" {
			return x
		}
	}
	return ""
}

func truth(s string) bool {
	switch strings.ToLower(s) {
	case "1", "true", "yes", "on", "y", "t":
		return true
	}
	return false
}

// uvIndexes reads UV_INDEX: addresses, each with or without a name before it.
func uvIndexes(s string) []string {
	var out []string
	for _, f := range strings.Fields(s) {
		if name, u, ok := strings.Cut(f, "="); ok && ValidName(name) {
			f = u
		}
		out = append(out, f)
	}
	return out
}

func smallFile(p string) ([]byte, bool) {
	fi, err := os.Stat(p)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxConfig {
		return nil, false
	}
	b, err := os.ReadFile(p)
	return b, err == nil
}

// pipFiles lists pip's files, most specific first.
func (s Settings) pipFiles() []string {
	if p := s.Getenv("PIP_CONFIG_FILE"); p != "" {
		return []string{p} // /dev/null means none
	}
	var out []string
	if v := s.Getenv("VIRTUAL_ENV"); v != "" {
		out = append(out, filepath.Join(v, "pip.conf"))
	}
	if d := s.configHome(); d != "" {
		out = append(out, filepath.Join(d, "pip/pip.conf"))
	}
	if h := s.Getenv("HOME"); h != "" {
		out = append(out, filepath.Join(h, ".pip/pip.conf"))
	}
	if s.Etc != "" {
		out = append(out, filepath.Join(s.Etc, "pip.conf"), filepath.Join(s.Etc, "xdg/pip/pip.conf"))
	}
	return out
}

func (s Settings) uvFiles() []string {
	if p := s.Getenv("UV_CONFIG_FILE"); p != "" {
		return []string{p}
	}
	if truth(s.Getenv("UV_NO_CONFIG")) {
		return nil
	}
	var out []string
	if d := s.configHome(); d != "" {
		out = append(out, filepath.Join(d, "uv/uv.toml"))
	}
	if s.Etc != "" {
		out = append(out, filepath.Join(s.Etc, "uv/uv.toml"))
	}
	return out
}

func (s Settings) configHome() string {
	if d := s.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return d
	}
	if h := s.Getenv("HOME"); h != "" {
		return filepath.Join(h, ".config")
	}
	return ""
}

// parsePipConf reads the form of Python's configparser as far as pip uses it: sections, name = value
// or name: value, values that go on in indented lines. What is said for install or download wins over
// what is said for all. Lines that are none of this are passed over: pip itself complains about them.
func parsePipConf(b []byte, from string) configured {
	vals := map[string]map[string]string{}
	section, key := "", ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		t := strings.TrimSpace(line)
		switch {
		case t == "" || t[0] == '#' || t[0] == ';':
		case line[0] == ' ' || line[0] == '\t':
			if key != "" {
				vals[section][key] += "\n" + t
			}
		case t[0] == '[':
			section, key = strings.TrimSpace(strings.Trim(t, "[]")), ""
		default:
			key = ""
			if i := strings.IndexAny(t, "=:"); i > 0 {
				key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(t[:i])), "_", "-")
				if vals[section] == nil {
					vals[section] = map[string]string{}
				}
				vals[section][key] = strings.TrimSpace(t[i+1:])
			}
		}
	}
	get := func(key string) string {
		for _, s := range []string{"install", "download", "global"} {
			if v := strings.TrimSpace(vals[s][key]); v != "" {
				return v
			}
		}
		return ""
	}
	return configured{from: from, index: get("index-url"), extra: strings.Fields(get("extra-index-url")),
		links: strings.Fields(get("find-links")), noIndex: truth(get("no-index"))}
}

type uvTable struct {
	IndexURL string   `toml:"index-url"`
	Extra    []string `toml:"extra-index-url"`
	Links    []string `toml:"find-links"`
	NoIndex  bool     `toml:"no-index"`
	Index    []struct {
		URL      string `toml:"url"`
		Default  bool   `toml:"default"`
		Explicit bool   `toml:"explicit"`
		Format   string `toml:"format"`
	} `toml:"index"`
}

// parseUVConf reads uv.toml; one that is broken says nothing.
func parseUVConf(b []byte, from string) configured {
	var t struct {
		uvTable
		Pip uvTable `toml:"pip"`
	}
	if _, err := toml.Decode(string(b), &t); err != nil {
		return configured{from: from}
	}
	c := configured{from: from, index: first(t.Pip.IndexURL, t.IndexURL), noIndex: t.NoIndex || t.Pip.NoIndex}
	c.extra = append(t.Extra, t.Pip.Extra...)
	c.links = append(t.Links, t.Pip.Links...)
	for _, x := range append(t.Index, t.Pip.Index...) {
		switch {
		case x.Explicit || x.URL == "":
		case x.Format == "flat":
			c.links = append(c.links, x.URL)
		case x.Default:
			c.index = x.URL
		default:
			c.extra = append(c.extra, x.URL)
		}
	}
	return c
}
