package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

const headRef = "refs/sandbox/HEAD" // where the remote's HEAD is kept: the clone's own HEAD means nothing

var hexForm = lazyregexp.New(`^[0-9a-f]{7,64}$`)

// commit makes sure that the wanted commit is in the bare clone and returns its id.
func (c *clone) commit(ctx context.Context) (string, error) {
	if err := c.local(); err != nil {
		return "", err
	}
	// A killed init has no HEAD yet; init completes it.
	if _, err := os.Stat(filepath.Join(c.bare, "HEAD")); err != nil {
		if _, err := c.git(ctx, call{args: []string{"init", "--quiet", "--bare", "--template=", "--", c.bare}}); err != nil {
			return "", err
		}
	}
	id, moves, err := c.lookup(ctx)
	if err != nil {
		return "", err
	}
	if c.o.Offline {
		if id == "" {
			return "", c.noRev(ctx)
		}
		return id, nil
	}
	if id != "" && !moves {
		return id, nil
	}
	if err := c.fetch(ctx); err != nil {
		return "", err
	}
	if id, _, err = c.lookup(ctx); err != nil || id != "" {
		return id, err
	}
	// A commit that no branch or tag holds any more, say of a pull request, can still be asked for by its id.
	if len(c.repo.Rev) >= 40 && hexForm.MatchString(c.repo.Rev) {
		_, err := c.git(ctx, c.fetchCall(c.repo.Rev+":refs/sandbox/commits/"+c.repo.Rev))
		if err == nil {
			id, _, err = c.lookup(ctx)
		}
		if err == nil && id != "" {
			return id, nil
		}
	}
	return "", c.noRev(ctx)
}

// local refuses a path that is no folder, and a checkout onto the repository itself, before git is run.
func (c *clone) local() error {
	if c.repo.scheme != "file" {
		return nil
	}
	p := strings.TrimPrefix(strings.TrimPrefix(c.repo.URL, "file://localhost"), "file://")
	if fi, err := os.Stat(p); err != nil || !fi.IsDir() {
		return &NotFoundError{URL: c.repo.URL}
	}
	a, errA := os.Stat(p)
	b, errB := os.Stat(filepath.Join(c.o.Dir, c.repo.Name))
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return &URLError{Arg: c.repo.URL, Why: "is where its checkout would be", hint: "sandbox run -C " + p + ", or run --from in another folder"}
	}
	return nil
}

// lookup finds the revision in the bare clone: a tag, else a branch, else a commit id. moves says
// that the name may mean another commit tomorrow. id is "" if there is none.
func (c *clone) lookup(ctx context.Context) (id string, moves bool, err error) {
	rev := c.repo.Rev
	if rev == "" {
		id, err = c.revParse(ctx, headRef)
		return id, true, err
	}
	if id, err = c.revParse(ctx, "refs/tags/"+rev); err != nil || id != "" {
		return id, false, err
	}
	if id, err = c.revParse(ctx, "refs/heads/"+rev); err != nil || id != "" {
		return id, true, err
	}
	if hexForm.MatchString(rev) {
		id, err = c.revParse(ctx, rev)
	}
	return id, false, err
}

func (c *clone) revParse(ctx context.Context, name string) (string, error) {
	out, err := c.inBare(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	var g *gitError
	if errors.As(err, &g) {
		return "", nil // not there; an ambiguous id counts as not there
	}
	// rev-parse before git 2.30 prints the option too.
	return strings.TrimSpace(strings.TrimPrefix(out, "--end-of-options\n")), err
}

// inBare runs a command that works on the store's own clone.
func (c *clone) inBare(ctx context.Context, args ...string) (string, error) {
	return c.git(ctx, call{args: append([]string{"--git-dir=" + c.bare}, args...)})
}

// fetch brings all branches and tags, and HEAD if that is what was asked for.
func (c *clone) fetch(ctx context.Context) error {
	specs := []string{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}
	if c.repo.Rev == "" {
		specs = append(specs, "+HEAD:"+headRef)
	}
	_, err := c.git(ctx, c.fetchCall(specs...))
	var g *gitError
	if errors.As(err, &g) && strings.Contains(g.Stderr, "couldn't find remote ref HEAD") {
		return &RevError{URL: c.repo.URL}
	}
	return c.explain(err)
}

func (c *clone) fetchCall(specs ...string) call {
	args := []string{"--git-dir=" + c.bare, "fetch", "--progress", "--prune", "--no-tags", "--no-write-fetch-head",
		"--recurse-submodules=no", "--", c.repo.URL}
	return call{net: true, args: append(args, specs...), stderr: c.progress("fetch")}
}

var counts = lazyregexp.New(`Receiving objects: +\d+% \((\d+)/(\d+)\)`)

// progress reads git's "Receiving objects:  45% (450/1000)".
func (c *clone) progress(verb string) func([]byte) {
	if c.o.Report == nil {
		return nil
	}
	return func(p []byte) {
		all := counts.Compiled().FindAllSubmatch(p, -1)
		if len(all) == 0 {
			return
		}
		m := all[len(all)-1]
		done, _ := strconv.ParseInt(string(m[1]), 10, 64)
		total, _ := strconv.ParseInt(string(m[2]), 10, 64)
		c.o.Report.Do(verb, c.repo.Name, done, total)
	}
}

// noRev is the error of a revision that is not there, with names that are.
func (c *clone) noRev(ctx context.Context) error {
	e := &RevError{URL: c.repo.URL, Rev: c.repo.Rev}
	out, err := c.inBare(ctx, "for-each-ref", "--sort=-creatordate", "--format=%(refname:lstrip=2)", "refs/tags", "refs/heads")
	if err != nil {
		return e
	}
	e.Near = nearest(c.repo.Rev, strings.Fields(out), 3)
	return e
}
