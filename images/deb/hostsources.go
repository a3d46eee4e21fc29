package deb

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

const maxSourceFile = 4 << 20

// HostSources reads the apt sources below root ("/" for the host): sources.list, and *.list and
// *.sources in sources.list.d, in the order in which apt reads them. Sources that are switched off
// or not on http are left out. A file that cannot be read or understood is an error naming it.
//
// Each source's Origin is filled in where apt's own lists have it; that serves only to ask the
// right mirror first.
func HostSources(root string) ([]Source, error) {
	dir := filepath.Join(root, "etc/apt")
	files := []string{filepath.Join(dir, "sources.list")}
	for _, pat := range []string{"*.list", "*.sources"} {
		m, err := filepath.Glob(filepath.Join(dir, "sources.list.d", pat))
		if err != nil {
			return nil, err
		}
		files = append(files, m...)
	}
	sort.Strings(files[1:])
	var out []Source
	for _, f := range files {
		text, err := readSmall(f, maxSourceFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("apt sources: %w", err)
		}
		parse := ParseList
		if strings.HasSuffix(f, ".sources") {
			parse = ParseSources
		}
		ss, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for _, s := range ss {
			if s.usable() == "" {
				s.File = f
				for i, k := range s.Keyring {
					s.Keyring[i] = filepath.Join(root, k)
				}
				s.Origin = listedOrigin(root, s)
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// listedOrigin looks into the Release that apt downloaded last. It is not verified again: it only
// decides which mirror is asked first, and whatever comes from there is verified.
func listedOrigin(root string, s Source) string {
	name := s.base()
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	name = strings.NewReplacer("/", "_", ":", "%3a").Replace(name) + "_InRelease"
	text, err := readSmall(filepath.Join(root, "var/lib/apt/lists", name), maxRelease)
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(text, "\n") {
		if o, ok := strings.CutPrefix(line, "Origin:"); ok {
			return strings.TrimSpace(o)
		}
	}
	return ""
}

// HostKeyrings are the files below root that hold the keys of the Debian and Ubuntu archives, and
// those that apt trusts for every source. Keys of withdrawn releases are not among them.
func HostKeyrings(root string) []string {
	var out []string
	for _, pat := range []string{
		"usr/share/keyrings/debian-archive-keyring.*", "usr/share/keyrings/ubuntu-archive-keyring.*",
		"etc/apt/trusted.gpg", "etc/apt/trusted.gpg.d/*",
	} {
		m, _ := filepath.Glob(filepath.Join(root, pat)) // the patterns are well-formed
		for _, f := range m {
			if slices.Contains([]string{".gpg", ".pgp", ".asc"}, filepath.Ext(f)) {
				out = append(out, f)
			}
		}
	}
	return out
}

func readSmall(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if int64(len(b)) > limit {
		return "", fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return string(b), nil
}
