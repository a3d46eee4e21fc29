package wheel

import (
	"cmp"
	"context"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// Default is the name of the index that a machine uses by itself, with the further ones that the
// machine is set up for. Locks name it, not its address.
const Default = "default"

// Settings says where addresses of indexes are looked for. Everything may be left empty.
type Settings struct {
	File []Index           // [[python.index]] of the env file
	User map[string]string // [index] of the user's configuration: name to URL

	Getenv func(string) string // PIP_ and UV_ variables, HOME, XDG folders, PATH; nil: none
	Etc    string              // "/etc"; "" leaves the machine's pip.conf and uv.toml out

	// If nothing names a default index, the one that pip itself comes with is asked for: first from
	// the Pythons on PATH (which runs them), then from these wheels and installed copies of pip.
	RunPython bool
	Pips      []string // wheel files of pip, or pip's own folders (…/site-packages/pip)
}

// Set is the indexes that are known, in the order in which they are to be asked.
type Set struct {
	List []Index
	From string // where the default's address was found, for messages; "" if there is none
}

const fromFile = "sandbox.toml"

// Indexes finds the addresses of Python indexes. Order: env file, user's configuration, variables of
// pip and uv, their configuration files, and at last what pip itself uses. There is no address in
// this program. Having no default index is not an error here: see [Set.Default].
func Indexes(ctx context.Context, s Settings) (Set, error) {
	if s.Getenv == nil {
		s.Getenv = func(string) string { return "" }
	}
	var set Set
	def, from, list := s.named()
	found := s.configured()
	for _, c := range found {
		if def == "" && c.index != "" {
			def, from = c.index, c.from
		}
		for _, u := range c.extra {
			list = append(list, Index{Name: Default, URL: u})
		}
	}
	noIndex := slices.ContainsFunc(found, func(c configured) bool { return c.noIndex })
	if def == "" && !noIndex {
		def, from = s.pipDefault(ctx)
	}
	if def != "" && !(noIndex && from != fromFile) {
		list = append(list, Index{Name: Default, URL: def})
		set.From = from
	}
	for _, c := range found {
		for _, l := range c.links {
			list = append(list, Index{Name: Default, URL: l, Flat: true})
		}
	}
	for _, x := range list {
		u, err := indexURL(x.URL, s.Getenv("HOME"))
		if err != nil {
			return set, err
		}
		x.URL = u
		if !slices.ContainsFunc(set.List, func(y Index) bool { return y.URL == x.URL && y.Name == x.Name }) {
			set.List = append(set.List, x)
		}
	}
	return set, nil
}

// named gives the default's address from the env file or the user's configuration, and the other
// named indexes. What the user configured under a name stands in for the env file's address, as a
// mirror or with credentials; but a default that the env file itself names only gets credentials.
func (s Settings) named() (def, from string, list []Index) {
	for _, x := range s.File {
		mine := s.User[x.Name]
		switch {
		case x.Name != Default:
			x.URL = cmp.Or(mine, x.URL)
			list = append(list, x)
		case sameHost(mine, x.URL):
			def, from = mine, fromFile
		default:
			def, from = x.URL, fromFile
		}
	}
	if def == "" && s.User[Default] != "" {
		def, from = s.User[Default], "the user's configuration"
	}
	return def, from, list
}

func sameHost(a, b string) bool {
	u, err1 := url.Parse(a)
	v, err2 := url.Parse(b)
	return err1 == nil && err2 == nil && a != "" && u.Scheme == v.Scheme && u.Host == v.Host
}

// indexURL takes what pip takes: a URL or, for find-links, a folder.
func indexURL(s, home string) (string, error) {
	if rest, ok := strings.CutPrefix(s, "~/"); ok && home != "" {
		s = filepath.Join(home, rest)
	}
	if filepath.IsAbs(s) {
		return (&url.URL{Scheme: "file", Path: filepath.Clean(s)}).String(), nil
	}
	u, err := url.Parse(s)
	if err == nil {
		switch u.Scheme {
		case "https", "http":
			if u.Host != "" {
				return strings.TrimSuffix(u.String(), "/"), nil
			}
		case "file":
			if filepath.IsAbs(u.Path) {
				return u.String(), nil
			}
		}
	}
	return "", &addressError{s}
}

// addressError is about an address that may hold a password, so that it is not printed whole.
type addressError struct{ url string }

func (e *addressError) Error() string {
	return "not an address of a Python index: " + redact(e.url)
}

func (e *addressError) Hint() string {
	return "an index is an https or http URL; find-links may be an absolute path too"
}

type noIndexError struct{}

func (noIndexError) Error() string { return "no Python index is known" }

// ErrNoIndex says that nothing on this machine names a Python index.
var ErrNoIndex = hint.With(noIndexError{}, "name one: [[python.index]] in sandbox.toml, [index] default in the user's configuration, or PIP_INDEX_URL")

// Default is the default index, or ErrNoIndex.
func (s Set) Default() (Index, error) {
	if s.From == "" {
		return Index{}, ErrNoIndex
	}
	for _, x := range slices.Backward(s.List) {
		if x.Name == Default && !x.Flat {
			return x, nil
		}
	}
	return Index{}, ErrNoIndex
}
