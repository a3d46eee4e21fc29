package sandbox

import (
	"context"
	"path/filepath"

	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/source"
)

// FromOptions is how a stranger's repository is run.
type FromOptions struct {
	Dir     string // where the checkout goes: Dir/NAME
	Lock    bool   // make a lock where the repository has none
	Prompt  bool   // a person can be asked for a password
	Project ProjectOptions
}

// From clones a git repository, checks a revision out to ./NAME and gives the project in it. Nothing
// of this machine is granted to it and its network is none, unless the options say so.
func (m *Manager) From(ctx context.Context, url string, o FromOptions) (*Project, error) {
	st, err := m.Store()
	if err != nil {
		return nil, err
	}
	repo, err := source.Parse(url)
	if err != nil {
		return nil, err
	}
	c, err := source.Clone(ctx, st.Path("git-v1"), repo, source.Options{
		Dir: o.Dir, AllowHTTP: m.o.AllowHTTP, Offline: m.o.Offline, Prompt: o.Prompt,
		Ignore: []string{LockName}, Report: m.o.Report, Log: m.o.Log,
	})
	if err != nil {
		return nil, err
	}
	for _, n := range c.Notes {
		m.notice("%s", n)
	}
	m.notice("%s at %s", c.Dir, c.Commit)
	o.Project.Stranger = true
	p, err := m.Project(c.Dir, o.Project)
	if err != nil {
		return nil, err
	}
	p.l.CacheScope = "repo-" + launch.Hash(repo.URL)[:16]
	if p.l.LockSrc == nil && o.Lock {
		if err := p.Lock(ctx, LockOptions{Here: true}); err != nil {
			return nil, err
		}
		m.notice("wrote %s", filepath.Join(c.Dir, LockName))
	}
	return p, nil
}
