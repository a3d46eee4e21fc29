package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// PlatformError says that the env file is not for machines like this one.
type PlatformError struct{ err error }

func (e *PlatformError) Error() string { return e.err.Error() }

// Unwrap gives the problem with its place.
func (e *PlatformError) Unwrap() error { return e.err }

// here refuses to build and run what the env file says is not for this machine.
func (p *Project) here() error {
	f, err := p.File()
	if err != nil || f.For(build.Platform()) {
		return err
	}
	return &PlatformError{f.Blame("add it and lock again, if the code is for it", "`platforms` does not have this machine's: "+build.Platform(), "platforms")}
}

// targets are the platforms to lock: those that were asked for, else every one that the env file names, this
// machine's first; a run that makes its lock by the way wants this machine's alone.
func (p *Project) targets(f *envfile.File, o LockOptions) ([]string, error) {
	if o.Here {
		return []string{build.Platform()}, p.here()
	}
	if len(o.Platforms) == 0 {
		if len(f.Platforms) == 0 {
			return []string{build.Platform()}, nil
		}
		return ordered(f.Platforms), nil
	}
	for _, want := range o.Platforms {
		if !f.For(want) {
			return nil, f.Blame("", fmt.Sprintf("`platforms` does not have %s, which --platform asks for", want), "platforms")
		}
	}
	return ordered(o.Platforms), nil
}

// ordered puts this machine's platform first: what it resolves freezes the dates of a new lock.
func ordered(list []string) []string {
	var out []string
	for _, p := range list {
		if p = envfile.Platform(p); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	if i := slices.Index(out, build.Platform()); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	return out
}

// lockAll resolves one section after the other. One that needs programs of another platform to run is left as it
// is, and said; asked for by name it is an error.
func (p *Project) lockAll(ctx context.Context, f *envfile.File, o LockOptions) (*envfile.Lock, error) {
	targets, err := p.targets(f, o)
	if err != nil {
		return nil, err
	}
	lock, err := p.oldLock()
	if err != nil {
		return nil, err
	}
	var left []error
	for _, t := range targets {
		next, err := p.lockOne(ctx, f, t, lock, o)
		var foreign *build.ForeignError
		switch {
		case err == nil:
			lock = next
		case !errors.As(err, &foreign):
			return nil, err
		case len(o.Platforms) > 0 || len(targets) == 1:
			return nil, p.foreign(f, foreign)
		default:
			left = append(left, p.foreign(f, foreign))
			p.sayLeft(f, lock, foreign)
		}
	}
	if len(left) == len(targets) {
		return nil, left[0]
	}
	return lock, nil
}

func (p *Project) lockOne(ctx context.Context, f *envfile.File, platform string, old *envfile.Lock, o LockOptions) (*envfile.Lock, error) {
	inputs, err := p.lockInputs(f, platform)
	if err != nil {
		return nil, err
	}
	b, err := p.m.builder(p)
	if err != nil {
		return nil, err
	}
	b.Platform = platform
	return b.Lock(ctx, build.LockInput{
		Section: envfile.SectionName(platform, p.lockProfiles(f)), Inputs: inputs, Old: old,
		Upgrade: envfile.Upgrade{All: o.UpgradeAll, Names: o.Upgrade},
	})
}

// foreign is the error with the place of the key that is the reason.
func (p *Project) foreign(f *envfile.File, e *build.ForeignError) error {
	return hint.With(f.Blame("", e.Error(), e.Key...), e.Hint())
}

// sayLeft says what a section that could not be made here is now.
func (p *Project) sayLeft(f *envfile.File, lock *envfile.Lock, e *build.ForeignError) {
	state := "it has no section yet"
	if lock != nil {
		if s, err := lock.Section(e.Platform, p.lockProfiles(f)); err == nil {
			inputs, err := p.lockInputs(f, e.Platform)
			if err != nil || s.Check(inputs) == nil {
				return // as it should be
			}
			state = "its section is older than " + EnvName
		}
	}
	p.m.notice("%s; %s; %s", e, state, e.Hint())
}
