package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/internal/xdg"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// ErrEngine says that a start needs something that has to be made first, or went wrong before anything
// ran. Nothing has happened then that a second try would notice.
var ErrEngine = errors.New("this start is for the engine")

// Launcher is what the starts of one process have in common. The zero values of the hooks are for a
// process that cannot build: what they would make is ErrEngine.
type Launcher struct {
	StoreDir string            // absolute
	BuildID  string            // of the engine: [BuildID]
	Environ  map[string]string // the caller's environment
	Config   []byte            // the user's configuration file: part of every key
	Log      *slog.Logger
	Notice   func(string) // one line for the user; nil is silence
	Front    bool         // what has to be said before a start is left to the engine

	// GPU chooses GPUs and devices and says what goes inside with them.
	GPU func(ctx context.Context, w GPUWant, in plan.Inputs) (*GPUChoice, error)

	spare *os.File // the folder of what cannot be written to the store; nil: none yet
	runs  int      // sandboxes made in it

	// Explain finds the cause of a start that failed in what the sandbox consists of; it may be nil.
	Explain func(err error, s *spec.Spec) error

	// MakeStubs makes the layer called name that holds the mount points, and gives its tree.
	MakeStubs func(ctx context.Context, name string, stubs []plan.Stub, lowers []spec.Lower) (string, error)
}

// StoreDir is where the store of a caller with this environment lies.
func StoreDir(environ map[string]string) string {
	if d := environ["SANDBOX_STORE"]; d != "" {
		if abs, err := filepath.Abs(d); err == nil {
			return abs
		}
		return d
	}
	return filepath.Join(xdg.Data(), "sandbox")
}

// ConfigFile is the path of the user's configuration.
func ConfigFile() string { return filepath.Join(xdg.Config(), "sandbox", "config.toml") }

// BuildID changes with every build of the engine: a plan that another one has kept is never used. The
// front and the engine compute it of the same file, so each uses what the other needs it to.
func BuildID(version, engine string) string {
	s, err := StampOf(engine)
	if err != nil {
		return version
	}
	return version + " " + decimal(s.Size) + " " + decimal(s.Mtime)
}

func (l *Launcher) notice(s string) {
	if l.Notice != nil {
		l.Notice(s)
	}
}

// NoGPU tells whether this machine has no NVIDIA GPU; profiles may ask for it.
func NoGPU() bool {
	for _, node := range []string{"/dev/nvidiactl", "/dev/dxg"} { // the second is Windows' (WSL2)
		if _, err := os.Stat(node); err == nil {
			return false
		}
	}
	return true
}

// Below is path relative to dir if it lies below it, else "".
func Below(dir, path string) string {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return ""
	}
	return rel
}

// Hash names things of the store after what they stand for.
func Hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
