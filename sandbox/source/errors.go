package source

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoGit is returned when the host has no git.
var ErrNoGit = errors.New("git is not on PATH")

// URLError is an argument of --from that is refused before anything is fetched.
type URLError struct {
	Arg, Why string
	hint     string
}

func (e *URLError) Error() string { return fmt.Sprintf("the repository %s: %s", e.Why, e.Arg) }

// Hint is what to write in its place, or "".
func (e *URLError) Hint() string { return e.hint }

// NotFoundError is a repository that is not there.
type NotFoundError struct{ URL string }

func (e *NotFoundError) Error() string { return "no git repository at " + e.URL }

// Hint names the two usual mistakes.
func (e *NotFoundError) Hint() string {
	if !strings.Contains(e.URL, "://") && scpColon(e.URL) < 0 {
		return "a repository on another machine is written https://HOST/PATH or HOST:PATH"
	}
	if strings.Contains(e.URL[strings.LastIndexByte(e.URL, ':')+1:], "@") {
		return "a branch with a slash in its name cannot follow @: give its commit"
	}
	return ""
}

// RevError is a revision that the repository does not have.
type RevError struct {
	URL, Rev string
	Near     []string // names it has that look alike, or its newest tags
}

func (e *RevError) Error() string {
	if e.Rev == "" {
		return "the repository has no commit on its default branch: " + e.URL
	}
	return fmt.Sprintf("the repository %s has no tag, branch or commit %s", e.URL, e.Rev)
}

// Hint lists names that exist.
func (e *RevError) Hint() string {
	if len(e.Near) == 0 {
		return ""
	}
	return "it has " + strings.Join(e.Near, ", ")
}

// AuthError is a repository that wants to know who asks.
type AuthError struct {
	URL    string
	Reason string // git's own words
}

func (e *AuthError) Error() string {
	return "the repository is private, or does not exist: " + e.URL
}

// Hint says where git takes credentials from.
func (e *AuthError) Hint() string {
	if strings.Contains(e.Reason, "Host key") {
		return "connect once with ssh, to accept the key of the host"
	}
	if strings.HasPrefix(e.URL, "http") {
		return "log in with a git credential helper, or use ssh"
	}
	return "add a key to your ssh agent: ssh-add"
}

// ChangedError is a folder where the checkout would be, with other content.
type ChangedError struct {
	Dir    string
	Commit string   // what was asked for
	At     string   // the commit that Dir is at, if it is known and differs
	Files  []string // tracked files that differ from At, or from Commit where At is not known
	Ours   bool     // Dir is a git checkout
}

func (e *ChangedError) Error() string {
	switch {
	case !e.Ours:
		return fmt.Sprintf("%s is in the way: it is not a checkout of this repository", e.Dir)
	case len(e.Files) > 0:
		return fmt.Sprintf("%s has changes: %s", e.Dir, some(e.Files, 5))
	}
	return fmt.Sprintf("%s is at another commit: %s, not %s", e.Dir, short(e.At), short(e.Commit))
}

// Hint says how to go on without losing anything.
func (e *ChangedError) Hint() string {
	if e.Ours && len(e.Files) > 0 {
		return fmt.Sprintf("to run your version: sandbox run -C %s; to run the published one, move %s away", e.Dir, e.Dir)
	}
	if e.Ours {
		return fmt.Sprintf("to run what is there: sandbox run -C %s; to run %s, move %s away", e.Dir, short(e.Commit), e.Dir)
	}
	return "run in another folder, or move it away"
}

func short(commit string) string {
	if len(commit) > 12 {
		return commit[:12]
	}
	return commit
}

func some(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}
