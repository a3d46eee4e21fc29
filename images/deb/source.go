package deb

import (
	"net/url"
	"slices"
	"strings"
)

// Source is one suite of one archive: where it is and who may sign it. The zero Keyring means the
// archive keys of the host, see [HostKeyrings].
type Source struct {
	URI        string   // without a slash at the end
	Suite      string   // "trixie-updates", or a path that ends in "/" for an archive without suites
	Components []string // nil: all that the Release names
	Archs      []string // empty: any

	Keyring      []string // files
	Keys         []string // keys as text, from a Signed-By field
	Fingerprints []string // if any: only these keys of the keyring
	Trusted      bool     // the host's owner said that no signature is needed
	NoExpiry     bool     // likewise for Valid-Until
	Late         bool     // asked for files after all others

	Origin string // "Debian", as the Release says; "" while unknown
	File   string // where it was read from, for messages
}

// flat reports whether the archive has no suites: its index lies at URI/Suite itself.
func (s Source) flat() bool { return strings.HasSuffix(s.Suite, "/") }

// base is the address below which the Release and what it lists lie.
func (s Source) base() string {
	if s.flat() {
		return strings.TrimRight(s.URI+"/"+strings.Trim(s.Suite, "/"), "/")
	}
	return s.URI + "/dists/" + s.Suite
}

// ForArch reports whether the source is for packages of arch.
func (s Source) ForArch(arch string) bool {
	return len(s.Archs) == 0 || slices.Contains(s.Archs, arch)
}

// String is the source as in a one-line sources.list, without credentials.
func (s Source) String() string {
	uri := s.URI
	if u, err := url.Parse(uri); err == nil {
		uri = u.Redacted()
	}
	return strings.TrimSpace(uri + " " + s.Suite + " " + strings.Join(s.Components, " "))
}

// usable says why a source cannot be used by us, or "". A cdrom: or mirror: line of the host is no
// mistake, it is just not for us.
func (s Source) usable() string {
	u, err := url.Parse(s.URI)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "not an address"
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "not http or https"
	}
	if s.Suite == "" || strings.Contains("/"+s.Suite+"/", "/../") || strings.ContainsAny(s.Suite, "?#%\\ \t") {
		return "bad suite"
	}
	return ""
}

// pocket is what follows the release's name in a suite: "" for trixie, "-security" for
// trixie-security.
func pocket(suite string) string {
	for _, p := range []string{"-security", "-updates", "-backports", "-proposed-updates", "-proposed", "/updates"} {
		if strings.HasSuffix(suite, p) {
			return p
		}
	}
	return ""
}
