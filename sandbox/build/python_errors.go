package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// ResolveError says why the requirements of [python] cannot be met together.
type ResolveError struct {
	Text string // one line, or what the resolver says
	Help string
}

func (e *ResolveError) Error() string { return e.Text }

// Hint is what helps, or "".
func (e *ResolveError) Hint() string { return e.Help }

func isResolveError(err error) bool {
	var r *ResolveError
	return errors.As(err, &r)
}

var (
	uvMissing   = lazyregexp.New(`^Because (\S+) was not found in the package registry and you require \S+, we can conclude`)
	uvNoVersion = lazyregexp.New(`^Because there (?:is|are) no versions? of ([A-Za-z0-9._-]+)(\S*) and you require \S+, we can conclude`)
	uvNoWheels  = lazyregexp.New(`([A-Za-z0-9._-]+)(?:==(\S+))? has no usable wheels`)
	uvWrongTag  = lazyregexp.New(`^Because ([A-Za-z0-9._-]+)==(\S+) has no wheels with a matching (.*) and you require`)
	uvExact     = lazyregexp.New(`^==([^*,]+)$`)
)

const wheelsHelp = "take a version that has wheels for this Python, or a base with another Python; this version builds no source distributions"

// explain turns what uv printed into one error.
func (u *uvRun) explain(ctx context.Context, out string) error {
	text, hints := uvText(out)
	if !strings.Contains(out, "No solution found") {
		return fmt.Errorf("python packages cannot be resolved: %s", text)
	}
	if m := uvMissing.FindStringSubmatch(text); m != nil {
		return &ResolveError{"no such Python package: " + m[1], "check the spelling; a package of another index needs [[python.index]]"}
	}
	if m := uvNoVersion.FindStringSubmatch(text); m != nil {
		return u.noVersion(ctx, m[1], m[2], hints)
	}
	if m := uvWrongTag.FindStringSubmatch(text); m != nil {
		help := wheelsHelp
		if hints != "" {
			help = hints
		}
		return &ResolveError{fmt.Sprintf("%s %s has no wheel with a matching %s", m[1], m[2], m[3]), help}
	}
	if m := uvNoWheels.FindStringSubmatch(text); m != nil && !strings.Contains(text, "\n") {
		name := strings.TrimSpace(m[1] + " " + m[2])
		return &ResolveError{name + " has only a source distribution, no wheel", wheelsHelp}
	}
	return &ResolveError{"python packages cannot be resolved together:\n" + text, hints}
}

// noVersion names the versions that are nearest to the one asked for.
func (u *uvRun) noVersion(ctx context.Context, name, cond, hints string) error {
	if cond == "" {
		cond = "that fits"
	}
	e := &ResolveError{"python package " + name + " has no version " + cond, hints}
	m := uvExact.FindStringSubmatch(cond)
	if m != nil {
		e.Text = "python package " + name + " has no version " + m[1]
	}
	var versions []string
	for _, x := range u.set.List {
		if !x.Serves(name) {
			continue
		}
		if files, err := u.r.Client.Files(ctx, x, name); err == nil && len(files) > 0 {
			versions = wheel.Versions(files)
			break
		}
	}
	want := ""
	if m != nil {
		want = m[1]
	}
	if near := nearest(versions, want); len(near) > 0 {
		e.Text += "; the nearest: " + strings.Join(near, ", ")
	}
	return e
}

// uvText takes uv's message apart: its causes as text, its hints. Names of our own files become
// what the user wrote them in.
func uvText(out string) (text, hints string) {
	out = strings.NewReplacer("`../work/in.txt`", "`sandbox.toml`", "../work/in.txt", "sandbox.toml", inside("in.txt"), "sandbox.toml",
		BoxRun+"/project/", "").Replace(out)
	var t, h []string
	in := &t
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, " \r\n")
		trim := strings.TrimSpace(line)
		switch {
		case trim == "" || strings.HasPrefix(line, "warning:"):
			continue
		case strings.HasPrefix(trim, "hint:"):
			in, trim = &h, strings.TrimSpace(strings.TrimPrefix(trim, "hint:"))
		case strings.HasPrefix(trim, "cause:"):
			in, trim = &t, strings.TrimSpace(strings.TrimPrefix(trim, "cause:"))
		case strings.HasPrefix(trim, "error: No solution found"):
			continue
		case strings.HasPrefix(trim, "error:"):
			in, trim = &t, strings.TrimSpace(strings.TrimPrefix(trim, "error:"))
		}
		*in = append(*in, trim)
	}
	return strings.Join(t, "\n"), strings.Join(h, " ")
}

// noWheels puts the ways on to packages that cannot be installed from wheels.
func noWheels(err error) error {
	var n *wheel.NoWheelError
	if errors.As(err, &n) {
		return hint.With(err, wheelsHelp)
	}
	return err
}
