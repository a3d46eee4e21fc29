package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/envfile/toolchain"
	"github.com/4cc2e759/sandbox/images/layer"
)

// LockInput is what a lock is made from beside the env file.
type LockInput struct {
	Section string            // name of the section to resolve
	Inputs  map[string]string // what the section will be compared with later
	Old     *envfile.Lock     // pins to keep; nil: none
	Upgrade envfile.Upgrade   // pins that may move
}

// locking is one section on its way.
type locking struct {
	*Builder
	in   LockInput
	lock *envfile.Lock
	sec  *envfile.Section
	keep envfile.Preferences
	env  *Env // what is built of it so far
	date int64
}

// Lock resolves one section. Each part is resolved inside what lies below it (apt in the base, uv in
// base and apt layers), so those layers are built on the way. Other sections stay as they are.
func (b *Builder) Lock(ctx context.Context, in LockInput) (*envfile.Lock, error) {
	if err := b.foreignFile(); err != nil {
		return nil, err
	}
	l := &locking{Builder: b, in: in, lock: newLock(in.Old), sec: &envfile.Section{Inputs: in.Inputs, Config: envfile.ConfigOf(b.File)}}
	var old *envfile.Section
	if in.Old != nil {
		old = in.Old.Sections[in.Section]
	}
	if b.oldDebs = nil; old != nil {
		b.oldDebs = old.Debs
	}
	l.keep = old.Preferences(in.Upgrade)
	if len(l.keep.Unknown) > 0 {
		return nil, fmt.Errorf("nothing of this name is locked: %s", l.keep.Unknown[0])
	}
	l.otherSections()
	l.lock.Sections[in.Section] = l.sec
	b.full = nil
	for _, step := range []func(context.Context) error{l.base, l.tools, l.apt, l.python, l.rest} {
		err := step(ctx)
		if b.full != nil {
			err = b.full
		}
		if err != nil {
			return nil, err
		}
	}
	l.sayAsOf()
	return l.lock, nil
}

// sayAsOf says what could not be held to [resolve] as-of: an archive of Debian packages has those of today.
func (l *locking) sayAsOf() {
	if l.File.Resolve.AsOf != "" && len(l.sec.Debs) > 0 && l.File.Image.Mirror == "" {
		l.notice("[resolve] as-of %s does not hold for Debian packages: those are what the archives have today; a dated snapshot of them is [image] mirror, or snapshot of [debian.NAME] in your configuration", l.File.Resolve.AsOf)
	}
}

// newLock is a lock with the other sections of the old one.
func newLock(old *envfile.Lock) *envfile.Lock {
	l := &envfile.Lock{Version: envfile.LockVersion, Tool: envfile.LockTool, LayerFormat: envfile.LayerFormat, Sections: map[string]*envfile.Section{}}
	if old == nil || old.LayerFormat != envfile.LayerFormat {
		return l
	}
	l.Epoch, l.AsOfKept = old.Epoch, old.AsOfKept
	for name, s := range old.Sections {
		l.Sections[name] = s
	}
	return l
}

// base pins the base and has its layers. The newest date of what it is made of is the lock's epoch,
// unless an earlier lock has frozen one.
func (l *locking) base(ctx context.Context) (err error) {
	if isDeb(l.File.Image.Base) {
		if l.date, err = l.lockDebBase(ctx, l.sec, l.in); err == nil {
			err = l.early(ctx)
		}
	} else {
		l.date, err = l.lockBase(ctx, l.sec, l.keep.Image)
	}
	if err != nil {
		return err
	}
	if l.lock.Epoch == 0 {
		l.lock.Epoch = epochOf(l.date, l.File.Resolve.AsOf)
	}
	l.env, err = l.Builder.base(ctx, l.sec, l.lock.Epoch)
	return err
}

// fallbackEpoch is used where nothing in the base has a date: 1980-01-01, the first that a zip file
// can hold.
const fallbackEpoch = 315532800

func epochOf(date int64, asOf string) int64 {
	if asOf != "" {
		for _, form := range []string{time.RFC3339, time.DateOnly} {
			if t, err := time.Parse(form, asOf); err == nil {
				return t.Unix()
			}
		}
	}
	if date < fallbackEpoch {
		return fallbackEpoch
	}
	return date
}

// tools plans how the claims of [toolchain] are met and adds the Debian packages for them.
func (l *locking) tools(ctx context.Context) error {
	have := l.evidence(ctx)
	if l.foreign() {
		return l.foreignTools(have)
	}
	steps, err := toolchain.Plan(l.File.Toolchain, have)
	if err != nil {
		return err
	}
	if err := toolchain.Refusals(steps); err != nil {
		return err
	}
	var names []string
	for _, s := range steps {
		for _, n := range s.Notes {
			l.notice("%s", n)
		}
		for _, d := range s.Debs {
			names = append(names, d.Name)
		}
	}
	return l.addAptLayer(ctx, "toolchain", names)
}

// apt adds what [apt] asks for.
func (l *locking) apt(ctx context.Context) error {
	return l.addAptLayer(ctx, "apt", l.File.Apt.Packages)
}

func (l *locking) addAptLayer(ctx context.Context, kind string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	pins, err := l.lockApt(ctx, l.env, kind, slices.Compact(names), l.keep.Debs)
	if err != nil {
		return err
	}
	l.sec.Debs = append(l.sec.Debs, pins...)
	return l.addDebs(ctx, l.env, pins, kind, l.lock.Epoch)
}

// python pins wheels. The claims of [toolchain] that wheels meet are planned again, now that the
// Debian packages are there.
func (l *locking) python(ctx context.Context) error {
	have := l.evidence(ctx)
	steps, err := toolchain.Plan(l.File.Toolchain, have)
	if err != nil {
		return err
	}
	if err := toolchain.Refusals(steps); err != nil {
		return err
	}
	var reqs, constraints []string
	for _, s := range steps {
		reqs = append(reqs, s.Requirements...)
		constraints = append(constraints, s.Constraints...)
	}
	if err := l.lockPython(ctx, reqs, constraints); err != nil {
		return err
	}
	return l.settle(have)
}

// settle checks every claim against what was pinned, before anything large is fetched.
func (l *locking) settle(have toolchain.Evidence) error {
	locked := toolchain.Locked{Debs: map[string]string{}, Wheels: map[string]string{}}
	for _, d := range l.sec.Debs {
		locked.Debs[d.Name] = d.Version
	}
	for _, w := range wheelsOf(l.sec) {
		locked.Wheels[envfile.NormalName(w.Name)] = w.Version
	}
	pins, errs := toolchain.Settle(l.File.Toolchain, have, locked)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	l.sec.Toolchain = map[string]envfile.ToolPin{}
	for name, p := range pins {
		l.sec.Toolchain[name] = envfile.ToolPin{Version: p.Version, From: p.From, Facts: p.Facts}
	}
	return nil
}

// rest pins steps and fetches.
func (l *locking) rest(context.Context) (err error) {
	l.sec.Fetches = l.lockFetches()
	l.sec.Steps, err = l.lockSteps()
	return err
}

// evidence is what the layers so far provide and what could be added.
func (l *locking) evidence(ctx context.Context) toolchain.Evidence {
	stack := layer.NewStack(l.env.dirs())
	defer stack.Close()
	have := l.offers(ctx)
	have.Found = toolchain.Detect(treeReader{stack}, pathOf(l.env.Image.Env)...)
	return have
}

// offers is what could be added.
func (l *locking) offers(ctx context.Context) toolchain.Evidence {
	if l.foreign() {
		return toolchain.Evidence{}
	}
	var requested []string
	for _, p := range l.File.Python.Packages {
		requested = append(requested, requirementName(p))
	}
	return toolchain.Evidence{
		Candidates: l.candidates(ctx, l.env),
		Index:      l.hasIndex(ctx),
		Requested:  requested,
		GPU:        l.File.GPU.Need == "required",
	}
}
