package sandbox

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// ImageLinkError says that a mount had no place because a folder of the image is a link.
type ImageLinkError struct {
	Link string // "/etc"
	To   string // as the image has it
	Why  string // reads on after both: "where each start begins empty"
	Err  *start.Error
}

func (e *ImageLinkError) Error() string {
	return fmt.Sprintf("%s %s: %s of the image is a link to %s, %s", e.Err.Op, e.Err.Path, e.Link, e.To, e.Why)
}

// Unwrap gives what the kernel said.
func (e *ImageLinkError) Unwrap() error { return e.Err }

// Hint implements hint.Hinter.
func (e *ImageLinkError) Hint() string {
	return "use an image in which " + e.Link + " is a folder, or make it one in its Dockerfile: RUN rm " + e.Link + " && mkdir " + e.Link
}

// explainLinks is launch.Launcher.Explain: a start that failed for want of a place is explained by the links
// of the image, if there are any on the way.
func explainLinks(err error, s *spec.Spec) error {
	var e *start.Error
	if !errors.As(err, &e) || e.Op == start.OpExec || e.Errno != syscall.ENOENT && e.Errno != syscall.ELOOP && e.Errno != syscall.ENOTDIR {
		return err
	}
	stack := layer.NewStack(lowerPaths(s.Root.Lowers))
	defer stack.Close()
	parts := strings.Split(strings.TrimPrefix(e.Path, "/"), "/")
	for i := range parts {
		link := "/" + strings.Join(parts[:i+1], "/")
		to, linkErr := stack.Readlink(link)
		if linkErr != nil {
			continue
		}
		return &ImageLinkError{Link: link, To: clip(to), Why: whyNoPlace(stack, link, e), Err: e}
	}
	return err
}

// whyNoPlace says why nothing can be mounted on, or below, where a link leads.
func whyNoPlace(stack *layer.Stack, link string, e *start.Error) string {
	real, err := stack.Resolve(link)
	switch {
	case e.Path == link && (link == "/dev" || link == "/proc" || link == "/sys"):
		return "and it has to be a folder"
	case errors.Is(err, syscall.ENOTDIR):
		return "which is no folder"
	case err != nil || e.Errno == syscall.ELOOP:
		return "which leads in a circle or through what only the kernel follows"
	}
	if fi, err := stack.Stat(link); err == nil && !fi.IsDir() {
		return "which is no folder"
	}
	for _, empty := range []string{"/tmp", "/dev", "/proc", "/sys", plan.Run} {
		if at, err := stack.Resolve(empty); err == nil && (real == at || strings.HasPrefix(real, at+"/")) {
			return "and nothing of the image is below " + empty + ", which each start makes anew"
		}
	}
	return "where it cannot be mounted"
}

// clip keeps an image's text from filling the terminal, or from commanding it.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, path.Clean(s))
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
