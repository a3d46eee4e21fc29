package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// makeStubs makes the layer called name with these mount points: where a path goes through links of
// the image, the folder must lie where the links lead.
func (m *Manager) makeStubs(ctx context.Context, name string, stubs []plan.Stub, lowers []spec.Lower) (string, error) {
	dirs := make([]string, len(lowers))
	for i, l := range lowers {
		dirs[i] = l.Path
	}
	stack := layer.NewStack(dirs)
	defer stack.Close()
	return m.ownLayer(ctx, name, func(dir string) error {
		for _, s := range stubs {
			if err := makeStub(filepath.Join(dir, "fs"), s, stack); err != nil {
				return err
			}
		}
		return nil
	})
}

func makeStub(fs string, s plan.Stub, stack *layer.Stack) error {
	real, err := stack.Resolve(s.Path)
	if err != nil {
		real = s.Path
	}
	p := filepath.Join(fs, strings.TrimPrefix(filepath.Clean("/"+real), "/"))
	if !s.File {
		return os.MkdirAll(p, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	if s.Copy != "" {
		return build.CopyFile(s.Copy, p)
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// identityLayer is a folder with a passwd and a group file.
func (m *Manager) identityLayer(passwd, group []byte, image *layer.Stack) (string, error) {
	var a additions
	a.file("/etc/passwd", passwd)
	a.file("/etc/group", group)
	return m.addedLayer("1d", a, image)
}
