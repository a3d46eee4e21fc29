package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
	"github.com/4cc2e759/sandbox/internal/smallfile"
)

// InitResult is what init wrote and could not take over.
type InitResult struct {
	File  string
	Notes []string
}

// Init writes an env file from what the project folder has, and trusts it: this user made it.
func (m *Manager) Init(dir, base string, force bool) (*InitResult, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, err
	}
	path := filepath.Join(abs, EnvName)
	if _, err := os.Lstat(path); err == nil && !force {
		return nil, hint.With(fmt.Errorf("there is an env file already: %s", path), "sandbox init --force replaces it")
	}
	have := map[string][]byte{}
	for _, n := range envfile.InitFiles() {
		b, err := smallfile.Read(filepath.Join(abs, n))
		if err == nil {
			have[n] = b
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	src, notes := envfile.Suggest(have, filepath.Base(abs))
	if base != "" {
		if src, err = withBase(src, base); err != nil {
			return nil, err
		}
	}
	if err := atomicfile.Write(path, src, 0o644); err != nil {
		return nil, err
	}
	if err := ignoreLocal(abs); err != nil {
		return nil, err
	}
	p, err := m.Project(abs, ProjectOptions{})
	if err != nil {
		return nil, err
	}
	return &InitResult{path, notes}, p.TrustOwn()
}

var baseLine = lazyregexp.New(`(?m)^base\s*=\s*"[^"]*"`)

// withBase puts another base into a fresh env file.
func withBase(src []byte, base string) ([]byte, error) {
	if _, err := envfile.ParseBase(base); err != nil {
		return nil, fmt.Errorf("base %w: %q", err, base)
	}
	at := baseLine.FindIndex(src)
	if at == nil {
		return nil, fmt.Errorf("--base %s: the env file that init would write has no base", base)
	}
	out := slices.Concat(src[:at[0]], []byte("base = "+strconv.Quote(base)), src[at[1]:])
	_, err := envfile.Parse(EnvName, out)
	return out, err
}

// ignoreLocal adds sandbox.local.toml to .gitignore in a git repository: it holds this machine's
// paths.
func ignoreLocal(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		return nil
	}
	path := filepath.Join(dir, ".gitignore")
	b, err := smallfile.ReadIf(path)
	if err != nil {
		return err
	}
	for _, l := range strings.Split(string(b), "\n") {
		if strings.Trim(strings.TrimSpace(l), "/") == LocalName {
			return nil
		}
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	return atomicfile.Write(path, append(b, LocalName+"\n"...), 0o644)
}
