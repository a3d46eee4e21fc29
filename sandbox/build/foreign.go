package build

import (
	"fmt"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/envfile/toolchain"
)

// ForeignError says that the section of another platform cannot be made on this machine: a program of that
// platform would have to run for it.
type ForeignError struct {
	Platform string
	Key      []string // of the env file
	Why      string   // "apt chooses them, and runs inside the base"
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s cannot be locked on %s: %s", e.Platform, Platform(), e.Why)
}

// Hint is where it can be.
func (e *ForeignError) Hint() string {
	return "on a machine of that kind: sandbox lock --platform " + e.Platform
}

// foreign tells whether programs of the platform that is locked do not run here.
func (b *Builder) foreign() bool { return envfile.Platform(b.platform()) != Platform() }

// platform is the one that is locked or built for.
func (b *Builder) platform() string {
	if b.Platform == "" {
		return Platform()
	}
	return b.Platform
}

func (b *Builder) cannot(why string, key ...string) error {
	return &ForeignError{Platform: b.platform(), Key: key, Why: why}
}

// foreignFile refuses what the env file alone shows to need a program of another platform. A base that is an
// image is only read, so it can be pinned from any machine, with steps and fetches.
func (b *Builder) foreignFile() error {
	f := b.File
	py := f.Python
	switch {
	case !b.foreign():
		return nil
	case isDeb(f.Image.Base):
		return b.cannot("dpkg, which assembles the base, runs inside it", "image", "base")
	case len(f.Apt.Packages) > 0:
		return b.cannot("apt, which chooses these packages, runs inside the base", "apt", "packages")
	case len(py.Packages) > 0:
		return b.cannot("uv, which chooses these packages, asks the Python inside", "python", "packages")
	case len(py.Requirements) > 0:
		return b.cannot("uv, which chooses these packages, asks the Python inside", "python", "requirements")
	case py.Project != "":
		return b.cannot("uv, which chooses these packages, asks the Python inside", "python", "project")
	}
	return nil
}

// foreignTools refuses claims that the base does not meet by itself: packages that would are chosen by
// programs inside.
func (l *locking) foreignTools(have toolchain.Evidence) error {
	for name, want := range l.File.Toolchain {
		one := map[string]string{name: want}
		steps, err := toolchain.Plan(one, toolchain.Evidence{Found: have.Found})
		met := err == nil && toolchain.Refusals(steps) == nil
		for _, s := range steps {
			met = met && len(s.Debs) == 0 && len(s.Requirements) == 0
		}
		if !met {
			return l.cannot("the base has none that fits, and what chooses packages for it runs inside", "toolchain", name)
		}
	}
	return nil
}

// otherSections keeps those of platforms that the env file still names.
func (l *locking) otherSections() {
	if len(l.File.Platforms) == 0 {
		return
	}
	for name, s := range l.lock.Sections {
		if p := s.Inputs["platform"]; p != "" && !l.File.For(p) {
			delete(l.lock.Sections, name)
		}
	}
}

// foreignPip refuses a pip of Debian's, whose package apt would choose.
func (l *locking) foreignPip() error {
	return l.cannot("the pip of this base's Python is a Debian package, and apt, which chooses it, runs inside", "image", "base")
}
