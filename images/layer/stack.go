package layer

import (
	"os"
	"sync"
)

// Stack is a read-only view of layer trees on top of each other, as a container will see them:
// whiteouts and opaque folders hide, symbolic links are resolved inside. Contents are hostile, so files
// are opened only if they are regular, and read only up to a bound. It may be used from many goroutines.
type Stack struct {
	dirs []string // bottom first

	mu     sync.Mutex
	roots  []*os.File       // opened when first needed
	merged map[string][]int // a folder's real path: the layers that it is merged from, top first
}

// NewStack looks at dirs, the fs/ folders of layers, bottom first. Nothing is opened yet.
func NewStack(dirs []string) *Stack { return &Stack{dirs: dirs} }

// Close closes what the Stack has open. It can be used again.
func (s *Stack) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.roots {
		if f != nil {
			f.Close()
		}
	}
	s.roots, s.merged = nil, nil
	return nil
}
