// Package source brings a stranger's git repository onto this machine for `sandbox run --from
// GIT-URL[@REV]`. Use [Parse] on what the user typed, then [Clone].
//
// A bare clone is kept in a folder of the store and fetched into only when the revision is not there
// or can move (a branch, or HEAD of the default branch). From it a checkout is made at ./NAME, an
// ordinary git repository with its history, so that the user can look, change and commit.
//
// Nothing of the repository is executed here: no hooks, no submodules, no filters, no configuration.
// A checkout that code has run in is hostile as well (its .git/config may name commands), so git is
// never run on one that exists: it is compared with the store's own clone. The user's configuration
// is used for the network alone, because credential helpers, proxies and keys live there.
package source

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/internal/lockfile"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Options are the choices of [Clone].
type Options struct {
	Dir       string          // the checkout becomes Dir/NAME, and a relative repository is below it; "" is the working directory
	AllowHTTP bool            // plain http to other machines; loopback is always allowed
	Offline   bool            // never fetch: a branch is what it was last time
	Prompt    bool            // a person can be asked for a password
	Ignore    []string        // tracked files, relative to the repository, whose changes do not count (the lock)
	Report    progress.Report // verbs "fetch" and "checkout", in objects
	Log       *slog.Logger    // nil is silent
}

// Checkout is a repository at a revision, ready to run.
type Checkout struct {
	Dir    string   // absolute path of the work tree
	Commit string   // full commit id
	Reused bool     // it was there already, unchanged
	Notes  []string // what the user should know: submodules, LFS
}

// Clone fetches r into the folder clones if need be, and checks it out to Options.Dir/r.Name. A
// checkout that is there is used again if it is at the revision and no tracked file differs;
// otherwise it is left alone and the error is a [*ChangedError]. Untracked files do not count.
//
// Many processes may call Clone with the same folder; one of them works on a repository at a time.
// A call that was killed is completed by the next.
func Clone(ctx context.Context, clones string, r Repo, o Options) (Checkout, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return Checkout{}, err
	}
	o.Dir = dir
	if r, err = r.allowed(o); err != nil {
		return Checkout{}, err
	}
	if err := os.MkdirAll(clones, 0o700); err != nil {
		return Checkout{}, err
	}
	bare := filepath.Join(clones, r.key()+".git")
	l, err := lockfile.Lock(ctx, bare+".lock", lockfile.Exclusive, func() {
		o.Report.Do("wait", "another clone of "+r.Name, 0, -1)
	})
	if err != nil {
		return Checkout{}, err
	}
	defer l.Close()
	c := &clone{repo: r, bare: bare, o: o}
	commit, err := c.commit(ctx)
	if err != nil {
		return Checkout{}, err
	}
	return c.checkout(ctx, commit)
}

// clone is one call of Clone.
type clone struct {
	repo Repo
	bare string // the store's own clone
	o    Options
}
