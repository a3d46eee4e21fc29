package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lockfile"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// LockOptions says which pins may move.
type LockOptions struct {
	Upgrade    []string
	UpgradeAll bool
	Platforms  []string // only these; none: all that the env file names, as far as they can be locked here
	Here       bool     // only this machine's
}

// Lock makes the project's lock where there is none. Of many processes that find none at once, one
// makes it and the others take it.
func (p *Project) Lock(ctx context.Context, o LockOptions) error {
	release, err := p.lockLock(ctx)
	if err != nil {
		return err
	}
	defer release()
	src, err := smallfile.ReadIf(filepath.Join(p.Dir, LockName))
	if err != nil {
		return err
	}
	if src != nil {
		p.l.LockSrc = src
		return nil
	}
	_, err = p.relock(ctx, o)
	return err
}

// HasLock tells whether there is a lock, whatever is in it.
func (p *Project) HasLock() bool { return p.l.LockSrc != nil }

// Relock resolves again and writes the lock if it came out different. Pins stay unless o frees them.
func (p *Project) Relock(ctx context.Context, o LockOptions) (changed bool, err error) {
	if _, err := p.File(); err != nil { // before a store is made for it
		return false, err
	}
	release, err := p.lockLock(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	return p.relock(ctx, o)
}

// lockLock keeps two processes from resolving one project at the same time.
func (p *Project) lockLock(ctx context.Context) (func(), error) {
	st, err := p.m.Store()
	if err != nil {
		return nil, err
	}
	dir := st.Path("locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, p.m.l.ReadOnly(err)
	}
	l, err := lockfile.Lock(ctx, filepath.Join(dir, "project-"+launch.Hash(p.Dir)[:24]), lockfile.Exclusive, func() {
		p.m.notice("another process is locking this project; waiting for it")
	})
	if err != nil {
		return nil, p.m.l.ReadOnly(err)
	}
	return func() { l.Close() }, nil
}

func (p *Project) relock(ctx context.Context, o LockOptions) (bool, error) {
	f, err := p.File()
	if err != nil {
		return false, err
	}
	if err := writable(p.Dir); err != nil {
		return false, err
	}
	lock, err := p.lockAll(ctx, f, o)
	if err != nil {
		return false, err
	}
	return p.writeLock(lock)
}

// oldLock is the lock to take pins from. One that cannot be read is an error: its pins would be lost
// without a word.
func (p *Project) oldLock() (*envfile.Lock, error) {
	if p.l.LockSrc == nil {
		return nil, nil
	}
	return envfile.ReadLock(LockName, p.l.LockSrc)
}

func (p *Project) writeLock(lock *envfile.Lock) (bool, error) {
	var buf bytes.Buffer
	if _, err := lock.WriteTo(&buf); err != nil {
		return false, err
	}
	if bytes.Equal(buf.Bytes(), p.l.LockSrc) {
		return false, nil
	}
	if err := atomicfile.Write(filepath.Join(p.Dir, LockName), buf.Bytes(), 0o644); err != nil {
		return false, fmt.Errorf("write %s: %w", LockName, err)
	}
	p.l.LockSrc = buf.Bytes()
	return true, nil
}

// writable says before long work, not after it, that the lock cannot be written.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".sandbox-*")
	if err == nil {
		f.Close()
		return os.Remove(f.Name())
	}
	if isReadOnly(err) {
		return hint.With(fmt.Errorf("cannot write %s: the project folder is read-only: %s", LockName, dir), "lock it where you can write, and bring the lock along")
	}
	return err
}

// BuildResult is what a build made.
type BuildResult struct {
	Digest string        `json:"digest"`
	Layers []build.Layer `json:"layers"`
}

// Build builds the environment and records in the lock what its layers came out as. A layer that
// came out different from what the lock says is an error that names it.
func (p *Project) Build(ctx context.Context) (*BuildResult, error) {
	lock, section, err := p.locked(ctx)
	if err != nil {
		return nil, err
	}
	b, err := p.m.builder(p)
	if err != nil {
		return nil, err
	}
	env, err := b.Build(ctx, lock, section)
	if err != nil {
		return nil, err
	}
	built, err := b.Identify(ctx, lock, env)
	if err != nil {
		return nil, err
	}
	if err := p.checkBuilt(lock.Sections[section], built, env); err != nil {
		return nil, err
	}
	if !p.l.Options.Stranger {
		lock.Sections[section].Built = built
		if _, err := p.writeLock(lock); err != nil {
			return nil, err
		}
	}
	if _, err := p.compile(ctx); err != nil {
		return nil, err
	}
	return &BuildResult{env.Digest, env.Layers}, nil
}

// checkBuilt compares with what another build of the same lock has written.
func (p *Project) checkBuilt(sec *envfile.Section, built map[string]envfile.BuiltLayer, env *build.Env) error {
	var errs []error
	for _, l := range env.Layers {
		was, ok := sec.Built[l.Name]
		if !ok || was.DiffID == "" {
			continue
		}
		if now := built[l.Name]; now.DiffID != was.DiffID {
			errs = append(errs, fmt.Errorf("layer %s (%s) came out as %s; %s says %s", l.Name[:12], l.Why, now.DiffID, LockName, was.DiffID))
		}
	}
	if len(errs) > 0 {
		return hint.With(errors.Join(errs...), "this machine does not build the same bytes: please report it with both file lists; sandbox lock --upgrade-all starts afresh")
	}
	return nil
}

// Edit adds or removes packages in the env file and locks again. If locking fails, the env file is
// as it was.
func (p *Project) Edit(ctx context.Context, kind string, items []string, adding, lock bool) error {
	src := p.l.EnvSrc
	var err error
	for _, it := range items {
		if adding {
			src, err = envfile.Add(src, kind, it)
		} else {
			src, err = envfile.Remove(src, kind, it)
		}
		var absent *envfile.AbsentError
		if errors.As(err, &absent) {
			err = p.notInList(err, kind, it)
		}
		if err != nil {
			return err
		}
	}
	path := filepath.Join(p.Dir, EnvName)
	before := p.l.EnvSrc
	if err := writeKeepingMode(path, src); err != nil {
		return err
	}
	p.l.EnvSrc, p.file, p.doc = src, nil, nil
	if !lock {
		return nil
	}
	if _, err := p.Relock(ctx, LockOptions{}); err != nil {
		if werr := writeKeepingMode(path, before); werr != nil {
			return errors.Join(err, werr)
		}
		return err
	}
	return nil
}

func writeKeepingMode(path string, b []byte) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, b, st.Mode().Perm())
}
