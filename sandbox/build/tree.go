package build

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/4cc2e759/sandbox/envfile/toolchain"
	"github.com/4cc2e759/sandbox/images/layer"
)

// treeReader lets package toolchain look into layers.
type treeReader struct{ s *layer.Stack }

// ReadFile gives the first max bytes of a file.
func (t treeReader) ReadFile(name string, max int64) ([]byte, error) {
	f, err := t.s.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, max))
}

// Glob gives the names in dir that match.
func (t treeReader) Glob(dir, pattern string) ([]string, error) {
	entries, err := t.s.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); ok {
			out = append(out, e.Name())
		}
	}
	return out, err
}

// Resolve says where a path leads through links.
func (t treeReader) Resolve(name string) (string, error) { return t.s.Resolve(name) }

// pathOf is the PATH of an environment list, as folders; nil where there is none.
func pathOf(env []string) []string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok && v != "" {
			return strings.Split(v, ":")
		}
	}
	return nil
}

// requirementName is the distribution's name at the beginning of a requirement.
func requirementName(req string) string {
	i := strings.IndexFunc(req, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
	if i < 0 {
		return req
	}
	return req[:i]
}

// Detect reads what the layers of a finished environment provide.
func Detect(dirs, imageEnv []string) toolchain.Found {
	stack := layer.NewStack(dirs)
	defer stack.Close()
	return toolchain.Detect(treeReader{stack}, pathOf(imageEnv)...)
}
