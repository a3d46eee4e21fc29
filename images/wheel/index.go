package wheel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/images/fetch"
)

// maxPage bounds the page of one project; the largest real ones are about a tenth of this.
const maxPage = 256 << 20

// Index is one place that lists files of projects. Its URL may hold credentials: print it with
// [Index.String].
type Index struct {
	Name string   // as pins name it: "default" or a name of [[python.index]]
	URL  string   // https, http or file
	Only []string // the projects that it serves; empty means any
	Flat bool     // one page or folder for all projects (pip's find-links) instead of one each
}

// String is the URL without credentials.
func (x Index) String() string { return redact(x.URL) }

// Serves says whether project is to be looked for in this index.
func (x Index) Serves(project string) bool {
	if len(x.Only) == 0 {
		return true
	}
	p := Normalize(project)
	return slices.ContainsFunc(x.Only, func(o string) bool { return Normalize(o) == p })
}

func redact(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(not a URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// File is one file that an index offers.
type File struct {
	Name           string
	URL            string // absolute; may hold the credentials of its index
	SHA256         string // hex; "" where the index does not say
	Size           int64  // -1 where the index does not say
	UploadTime     string // RFC 3339, as the index says it; "" where it does not
	RequiresPython string
	Yanked         bool
	YankedWhy      string
	Metadata       string // sha256 of URL + ".metadata", "true" if it is there unhashed, "" if it is not
	Index          string // name of the index
}

// Getter fetches small files: [fetch.Client] does.
type Getter interface {
	Get(ctx context.Context, src fetch.Source, max int64) ([]byte, http.Header, error)
}

// Client asks indexes. It is safe for use by many goroutines at once and keeps nothing.
type Client struct{ get Getter }

// NewClient returns a client that fetches with g.
func NewClient(g Getter) *Client { return &Client{g} }

// NoProjectError says that none of the indexes knows a project. An index cannot be asked for names
// that are like it.
type NoProjectError struct {
	Project string
	Indexes []string // without credentials
}

func (e *NoProjectError) Error() string {
	if len(e.Indexes) == 0 {
		return "no Python index is known to look for " + e.Project
	}
	return fmt.Sprintf("no such Python package in %s: %s", strings.Join(e.Indexes, ", "), e.Project)
}

const acceptSimple = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

// Files lists what idx has of project, in the order of the index. A project that the index does not
// know is a *[NoProjectError].
func (c *Client) Files(ctx context.Context, idx Index, project string) ([]File, error) {
	if !ValidName(project) {
		return nil, fmt.Errorf("not the name of a Python package: %q", project)
	}
	base, err := url.Parse(idx.URL)
	if err != nil {
		return nil, fmt.Errorf("address of index %s is not a URL", idx.Name)
	}
	if base.Scheme == "file" {
		return localFiles(idx, base, project)
	}
	if !idx.Flat {
		base = base.JoinPath(Normalize(project))
		base.Path += "/"
		base.RawPath = ""
	}
	b, h, err := c.get.Get(ctx, fetch.Source{URL: base.String(), Accept: acceptSimple}, maxPage)
	var missing fetch.ErrNotFound
	if errors.As(err, &missing) {
		return nil, &NoProjectError{project, []string{idx.String()}}
	}
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", idx.Name, err)
	}
	files, err := parsePage(b, h.Get("Content-Type"), base)
	if err != nil {
		return nil, fmt.Errorf("index %s: %s: %w", idx.Name, redact(base.String()), err)
	}
	return mine(files, idx, project), nil
}

// mine keeps the files of project and puts the name of the index to them.
func mine(files []File, idx Index, project string) []File {
	p, out := Normalize(project), files[:0]
	for _, f := range files {
		if idx.Flat && !belongs(f.Name, p) {
			continue
		}
		f.Index = idx.Name
		out = append(out, f)
	}
	return out
}

// belongs says whether a file name is one of project's. A version starts with a digit, so that
// foo-bar-1.tar.gz is not taken for a file of foo.
func belongs(file, project string) bool {
	if f, err := ParseFilename(file); err == nil {
		return Normalize(f.Name) == project
	}
	name, ok := sdistName(file)
	return ok && Normalize(name) == project
}

func sdistName(file string) (string, bool) {
	for _, ext := range []string{".tar.gz", ".zip", ".tar.bz2", ".tgz"} {
		stem, ok := strings.CutSuffix(file, ext)
		if !ok {
			continue
		}
		for i := 1; i+1 < len(stem); i++ {
			if stem[i] == '-' && '0' <= stem[i+1] && stem[i+1] <= '9' {
				return stem[:i], true
			}
		}
	}
	return "", false
}

func localFiles(idx Index, base *url.URL, project string) ([]File, error) {
	dir := base.Path
	if !idx.Flat {
		dir = filepath.Join(dir, Normalize(project))
		if b, err := readFile(filepath.Join(dir, "index.html")); err == nil {
			files, err := parsePage(b, "text/html", &url.URL{Scheme: "file", Path: dir + "/"})
			if err != nil {
				return nil, fmt.Errorf("index %s: %s: %w", idx.Name, dir, err)
			}
			return mine(files, idx, project), nil
		}
	}
	ents, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) && !idx.Flat {
		return nil, &NoProjectError{project, []string{idx.String()}}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("index %s: %w", idx.Name, err)
	}
	var files []File
	for _, e := range ents {
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && belongs(e.Name(), Normalize(project)) {
			u := url.URL{Scheme: "file", Path: filepath.Join(dir, e.Name())}
			files = append(files, File{Name: e.Name(), URL: u.String(), Size: fi.Size(), Index: idx.Name})
		}
	}
	return files, nil
}

func readFile(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxPage {
		return nil, fmt.Errorf("%s: not a file of usual size", path)
	}
	return os.ReadFile(path)
}
