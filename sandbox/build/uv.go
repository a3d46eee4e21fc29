package build

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// uvVersion is the resolver that locks are made with. It is needed only to resolve.
const uvVersion = "0.13.9"

// uvWheels are uv's wheels for musl: their program is static, so that it runs in every image.
func uvWheels() map[string]wheel.Pin {
	pin := func(tags, sha string, size int64) wheel.Pin {
		return wheel.Pin{Name: "uv", Version: uvVersion, File: "uv-" + uvVersion + "-py3-none-" + tags + ".whl", SHA256: sha, Size: size, Index: wheel.Default}
	}
	return map[string]wheel.Pin{
		"amd64": pin("musllinux_1_1_x86_64", "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25", 19295638),
		"arm64": pin("manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64", "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe", 18026789),
	}
}

// UVRequest is where uv may come from.
type UVRequest struct {
	Configured string // [tools] uv of the user's configuration; "" if not set
	Getenv     func(string) string
	Store      *store.Store
	Fetch      *fetch.Client
	Set        wheel.Set
	Offline    bool
	Report     progress.Report
	Log        *slog.Logger
}

// FindUV gives the path of a static uv: the configured one, one on PATH in the version that we use,
// or the pinned wheel, fetched from the default index or by the host's pip and verified.
func FindUV(ctx context.Context, r UVRequest) (string, error) {
	if r.Configured != "" {
		if err := isStatic(r.Configured); err != nil {
			return "", hint.With(fmt.Errorf("[tools] uv: %w", err), "uv runs inside the image: take the program of its musllinux wheel, or leave [tools] uv out")
		}
		return r.Configured, nil
	}
	if p := uvOnPath(ctx, r.Getenv("PATH")); p != "" {
		return p, nil
	}
	pin, ok := uvWheels()[runtime.GOARCH]
	if !ok {
		return "", hint.With(fmt.Errorf("no uv is known for this architecture: %s", runtime.GOARCH), "set [tools] uv in the user's configuration")
	}
	if err := r.fetch(ctx, pin); err != nil {
		return "", hint.With(fmt.Errorf("uv, which resolves Python packages, cannot be had: %w", err), "name a Python index, or set [tools] uv in the user's configuration")
	}
	ws, err := wheel.Prepare(ctx, r.Store, []wheel.Pin{pin}, r.Report)
	if err != nil {
		return "", err
	}
	return filepath.Join(ws[0].Dir, "scripts/uv"), nil
}

func (r UVRequest) fetch(ctx context.Context, pin wheel.Pin) error {
	missing, err := wheel.Missing(ctx, r.Store, []wheel.Pin{pin})
	if err != nil || len(missing) == 0 {
		return err
	}
	if r.Offline {
		return errors.New("not in the store, and --offline is given")
	}
	err = wheel.Fetch(ctx, r.Fetch, r.Store, r.Set, missing, r.Report)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// The index may be one that only pip can reach, with certificates or a keyring of its own.
	if perr := r.fetchByPip(ctx, pin); perr != nil {
		return errors.Join(err, perr)
	}
	return nil
}

// fetchByPip lets the host's pip download the wheel; what it brings is only taken if its hash is
// right. pip starts in a fresh folder: Python takes modules from where it is started.
func (r UVRequest) fetchByPip(ctx context.Context, pin wheel.Pin) error {
	pip := ""
	for _, name := range []string{"pip3", "pip"} {
		if p, err := exec.LookPath(name); err == nil && filepath.IsAbs(p) {
			pip = p
			break
		}
	}
	if pip == "" {
		return errors.New("there is no pip on this machine")
	}
	dir, cleanup, err := r.Store.TempDir("uv-")
	if err != nil {
		return err
	}
	defer cleanup()
	f, err := wheel.ParseFilename(pin.File)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, pip, "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--platform", f.Platform[len(f.Platform)-1], "--dest", dir, "uv=="+pin.Version)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pip download uv: %w: %s", err, lastLine(string(out)))
	}
	w, err := os.Open(filepath.Join(dir, pin.File))
	if err != nil {
		return err
	}
	defer w.Close()
	d, err := pin.Digest()
	if err != nil {
		return err
	}
	_, _, err = r.Store.PutBlob(ctx, w, d)
	return err
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// uvOnPath finds a uv of exactly our version that runs in every image.
func uvOnPath(ctx context.Context, path string) string {
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, "uv")
		if !filepath.IsAbs(p) || isStatic(p) != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		cmd := exec.CommandContext(ctx, p, "--version")
		cmd.WaitDelay = time.Second
		cmd.Dir = "/"
		out, err := cmd.Output()
		cancel()
		if f := strings.Fields(string(out)); err == nil && len(f) >= 2 && f[1] == uvVersion {
			return p
		}
	}
	return ""
}

// isStatic refuses programs that need a loader and libraries: those of the host are not in the image.
func isStatic(p string) error {
	f, err := elf.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, h := range f.Progs {
		if h.Type == elf.PT_INTERP {
			return fmt.Errorf("not a static program: %s", p)
		}
	}
	return nil
}
