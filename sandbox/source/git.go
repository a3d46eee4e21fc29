package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// gitError is a git that ended with an error.
type gitError struct {
	Verb   string
	Stderr string
	Err    error
}

func (e *gitError) Unwrap() error { return e.Err }

// Error is git's last fatal line: what comes before it is progress and context.
func (e *gitError) Error() string {
	msg := ""
	for line := range strings.SplitSeq(strings.TrimSpace(e.Stderr), "\n") {
		if rest, ok := strings.CutPrefix(line, "fatal: "); ok || msg == "" {
			msg = strings.TrimPrefix(rest, "error: ")
		}
	}
	if msg == "" {
		msg = e.Err.Error()
	}
	return "git " + e.Verb + ": " + strings.TrimSuffix(strings.TrimSpace(msg), ".")
}

// Every call: nothing of a repository runs, nothing goes on in the background, sizes are git's own.
var always = []string{
	"-c", "core.hooksPath=/dev/null",
	"-c", "core.fsmonitor=false",
	"-c", "submodule.recurse=false",
	"-c", "fetch.recurseSubmodules=false",
	"-c", "gc.auto=0",
	"-c", "maintenance.auto=false",
	"-c", "advice.detachedHead=false",
	"-c", "init.defaultBranch=main",
	"-c", "protocol.version=2",
	"-c", "transfer.fsckObjects=true",
	// Flaws of old commits that well-known repositories have, and that harm nobody.
	"-c", "fetch.fsck.zeroPaddedFilemode=ignore",
	"-c", "fetch.fsck.missingSpaceBeforeDate=ignore",
	"-c", "fetch.fsck.badTimezone=ignore",
}

// call is one run of git.
type call struct {
	net    bool     // a network operation: the user's configuration counts
	dir    string   // working directory
	env    []string // more environment
	stderr func([]byte)
	args   []string
}

// verb is the first argument that is not an option of git itself.
func (g call) verb() string {
	for i := 0; i < len(g.args); i++ {
		if g.args[i] == "-c" {
			i++
		} else if !strings.HasPrefix(g.args[i], "-") {
			return g.args[i]
		}
	}
	return ""
}

// git runs git and returns what it printed. Its environment has none of the variables that would
// point it at another repository, and its messages are in English so that they can be understood.
func (c *clone) git(ctx context.Context, g call) (string, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return "", ErrNoGit
	}
	cmd := exec.CommandContext(ctx, path, append(append([]string{}, always...), g.args...)...)
	cmd.Dir = g.dir
	cmd.Env = append(c.environ(g.net), g.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	errs := &tail{each: g.stderr}
	cmd.Stdout, cmd.Stderr = &out, errs
	if g.net && c.o.Prompt {
		cmd.Stdin = os.Stdin
	}
	c.o.Log.Debug("git", "args", g.args)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &gitError{Verb: g.verb(), Stderr: errs.String(), Err: err}
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Variables of git's own that say how to reach others, not which repository to work on.
var netVars = map[string]bool{
	"GIT_ASKPASS": true, "GIT_SSH": true, "GIT_SSH_COMMAND": true, "GIT_SSH_VARIANT": true,
	"GIT_SSL_CAINFO": true, "GIT_SSL_CAPATH": true, "GIT_SSL_CERT": true, "GIT_SSL_KEY": true,
	"GIT_PROXY_SSL_CAINFO": true, "GIT_HTTP_PROXY_AUTHMETHOD": true,
	"GIT_CONFIG_GLOBAL": true, "GIT_CONFIG_SYSTEM": true, "GIT_CONFIG_NOSYSTEM": true, "GIT_CONFIG_COUNT": true,
}

func (c *clone) environ(net bool) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "GIT_") {
			perKey := strings.HasPrefix(name, "GIT_CONFIG_KEY_") || strings.HasPrefix(name, "GIT_CONFIG_VALUE_")
			if !net || !netVars[name] && !perKey {
				continue
			}
		}
		if name == "LANGUAGE" || strings.HasPrefix(name, "LC_") {
			continue
		}
		env = append(env, kv)
	}
	env = append(env, "LC_ALL=C", "GIT_ALLOW_PROTOCOL="+c.protocols(net), "GIT_LFS_SKIP_SMUDGE=1", "GIT_NO_REPLACE_OBJECTS=1")
	if !net {
		// Without a network there is nothing that the user's configuration could help with, and its
		// filters and line endings would make another tree of the same commit.
		env = append(env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1")
	}
	if !c.o.Prompt {
		env = append(env, "GIT_TERMINAL_PROMPT=0")
		if os.Getenv("GIT_SSH_COMMAND") == "" && os.Getenv("GIT_SSH") == "" && net && !c.ownSSH() {
			env = append(env, "GIT_SSH_COMMAND=ssh -oBatchMode=yes")
		}
	}
	return env
}

// protocols is what git may speak, wherever redirects and the user's url.*.insteadOf lead it.
func (c *clone) protocols(net bool) string {
	switch {
	case !net || c.repo.scheme == "file":
		return "file"
	case c.repo.scheme == "http":
		return "http:https"
	}
	return "https:ssh"
}

// ownSSH reports whether the user's configuration names an ssh command, which GIT_SSH_COMMAND would
// override.
func (c *clone) ownSSH() bool {
	return c.repo.scheme == "ssh" && exec.Command("git", "config", "--global", "--includes", "--get", "core.sshCommand").Run() == nil
}

// explain turns git's words about a remote into an error that a caller can branch on.
func (c *clone) explain(err error) error {
	var g *gitError
	if !errors.As(err, &g) {
		return err
	}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(g.Stderr, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("dubious ownership"):
		return &ownerError{c.repo.URL}
	case has("could not read Username", "could not read Password", "Authentication failed", "Permission denied (publickey",
		"Host key verification failed", "returned error: 403", "returned error: 401"):
		return &AuthError{URL: c.repo.URL, Reason: g.Stderr}
	case has("not found", "does not appear to be a git repository", "does not exist", "No such file or directory", "returned error: 404"):
		return &NotFoundError{URL: c.repo.URL}
	}
	return fmt.Errorf("fetch %s: %w", c.repo.URL, err)
}

// ownerError is a local repository of somebody else, which git refuses to read for good reason.
type ownerError struct{ path string }

func (e *ownerError) Error() string {
	return "git does not trust the repository, because somebody else owns it: " + e.path
}

func (e *ownerError) Hint() string {
	return "git config --global --add safe.directory " + e.path
}

// tail keeps the end of what git says, and shows all of it to each.
type tail struct {
	buf  []byte
	each func([]byte)
}

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	if t.each != nil {
		t.each(p)
	}
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailSize {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

// String is the kept text, each line in its last form: git draws progress by carriage returns.
func (t *tail) String() string {
	lines := strings.Split(string(t.buf), "\n")
	for i, l := range lines {
		l = strings.TrimSuffix(l, "\r")
		lines[i] = l[strings.LastIndexByte(l, '\r')+1:]
	}
	return strings.Join(lines, "\n")
}
