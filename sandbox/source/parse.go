package source

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Repo is a repository and a revision of it, as [Parse] gives it.
type Repo struct {
	URL  string // what git is given: a URL, host:path, or a path of this machine
	Rev  string // a tag, branch or commit; "" is HEAD of the default branch
	Name string // the folder it is checked out to

	scheme string // https, http, ssh, file
}

// String is the argument that Parse would read again.
func (r Repo) String() string {
	if r.Rev == "" {
		return r.URL
	}
	return r.URL + "@" + r.Rev
}

// key names the clone in the store. The name is for people, the hash for us.
func (r Repo) key() string {
	sum := sha256.Sum256([]byte(r.URL))
	return r.Name + "-" + hex.EncodeToString(sum[:8])
}

// Parse reads GIT-URL[@REV]. REV follows the last @ after the last slash (and after the colon of
// host:path), so a user name before the host is never taken for one. Known are https, ssh, file and
// http URLs, host:path, and paths; everything else that git would understand, remote helpers above
// all, is a [*URLError].
func Parse(arg string) (Repo, error) {
	bad := func(why, hint string) (Repo, error) { return Repo{}, &URLError{Arg: arg, Why: why, hint: hint} }
	switch {
	case arg == "":
		return bad("is empty", "sandbox run --from https://HOST/REPOSITORY@REV")
	case strings.HasPrefix(arg, "-"):
		return bad("begins with a dash", "")
	case strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return bad("holds a control character", "")
	}
	r := Repo{URL: arg}
	tail := strings.LastIndexByte(arg, '/') + 1
	if tail == 0 {
		tail = scpColon(arg) + 1
	}
	if i := strings.LastIndexByte(arg[tail:], '@'); i >= 0 {
		r.URL, r.Rev = arg[:tail+i], arg[tail+i+1:]
		if why := badRev(r.Rev); why != "" {
			return bad("has a revision that "+why, "a revision is a tag, a branch or a commit id")
		}
	}
	var why, hint string
	switch {
	case r.URL == "":
		why = "is empty"
	case strings.Contains(r.URL, "://"):
		r.scheme, why, hint = checkURL(r.URL)
	case scpColon(r.URL) >= 0:
		r.scheme, why = "ssh", checkSCP(r.URL)
	default:
		r.scheme = "file"
	}
	if why != "" {
		return bad(why, hint)
	}
	if r.Name = nameOf(r.URL); r.Name == "" {
		return bad("has no name to check it out to", "sandbox run --from https://HOST/OWNER/REPOSITORY")
	}
	return r, nil
}

// scpColon is where the colon of host:path is, by git's own rule: before any slash. -1 if s is none.
func scpColon(s string) int {
	i := strings.IndexByte(s, ':')
	if j := strings.IndexByte(s, '/'); j >= 0 && j < i {
		return -1
	}
	return i
}

func checkURL(s string) (scheme, why, hint string) {
	u, err := url.Parse(s)
	if err != nil {
		return "", "is not a URL", ""
	}
	switch u.Scheme {
	case "https", "ssh", "file":
	case "http":
	default:
		return "", "uses the protocol " + u.Scheme, "use https, ssh or file"
	}
	if _, ok := u.User.Password(); ok {
		return "", "holds a password", "let a git credential helper keep it, or use ssh"
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return "", "has a query or fragment", "write the revision as @REV"
	}
	if u.Scheme == "file" {
		if u.Host != "" && u.Host != "localhost" {
			return "", "names another machine in a file URL", "use ssh"
		}
		return u.Scheme, "", ""
	}
	// ssh would take a host or a user that begins with a dash for an option.
	if h := u.Hostname(); h == "" || strings.HasPrefix(h, "-") || strings.HasPrefix(u.User.Username(), "-") {
		return "", "has no host", ""
	}
	if strings.HasPrefix(strings.TrimLeft(u.Path, "/"), "-") {
		return "", "has a path that begins with a dash", ""
	}
	return u.Scheme, "", ""
}

// checkSCP refuses name::rest, by which git calls the program git-remote-NAME, and what ssh would take
// for an option.
func checkSCP(s string) (why string) {
	host, p, _ := strings.Cut(s, ":")
	switch {
	case strings.HasPrefix(p, ":"):
		return "names a remote helper"
	case host == "" || strings.HasPrefix(host[strings.LastIndexByte(host, '@')+1:], "-"):
		return "has no host"
	case p == "" || strings.HasPrefix(p, "-"):
		return "has no path"
	}
	return ""
}

// A revision is a name or an id; git's expressions (main~3, :/text, a..b) are not taken, so that what
// is run is what somebody published under a name.
var revForm = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.+=,%-]*$`)

func badRev(rev string) (why string) {
	switch {
	case rev == "":
		return "is empty"
	case strings.HasPrefix(rev, "-"):
		return "begins with a dash"
	case !revForm.MatchString(rev) || strings.Contains(rev, "..") || strings.HasSuffix(rev, ".lock") || strings.HasSuffix(rev, "."):
		return "is no tag, branch or commit"
	}
	return ""
}

// nameOf is the last part of the path, without .git, as git clone would call it; "" if that is not a
// plain name.
func nameOf(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		_, rest, ok = strings.Cut(rest, "/")
		if !ok {
			return ""
		}
		s = rest
	} else if i := scpColon(s); i >= 0 {
		s = s[i+1:]
	} else if abs, err := filepath.Abs(s); err == nil {
		s = abs // "." and ".." have names too
	}
	s = strings.TrimRight(s, "/")
	s = strings.TrimSuffix(s, "/.git")
	s = strings.TrimSuffix(path.Base(s), ".git")
	if s == "" || s[0] == '.' || s[0] == '-' || s == "/" {
		return ""
	}
	return s
}

// allowed refuses plain http to another machine, where anybody on the way could change the code, and
// makes a path absolute.
func (r Repo) allowed(o Options) (Repo, error) {
	switch {
	case r.scheme == "http" && !o.AllowHTTP:
		u, err := url.Parse(r.URL)
		if err != nil {
			return r, err
		}
		if !loopback(u.Hostname()) {
			return r, &URLError{Arg: r.URL, Why: "is plain http: anybody on the way can change the code", hint: "use https, or give --allow-http"}
		}
	case r.scheme == "file" && !strings.HasPrefix(r.URL, "file:") && !filepath.IsAbs(r.URL):
		r.URL = filepath.Join(o.Dir, r.URL)
		r.Name = nameOf(r.URL)
	}
	return r, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
