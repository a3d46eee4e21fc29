package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Plan plans twice: once to learn the mount points, and again with the layer that has them. stores are
// folders of other stores that the layer may lie in.
func (l *Launcher) Plan(ctx context.Context, in plan.Inputs, stores []string) (*spec.Spec, error) {
	s, err := plan.Plan(in)
	if err != nil {
		return nil, err
	}
	plan.MakePoints(s, in.Sandbox.Tmp, IsFile)
	stubs := plan.Stubs(s, IsFile)
	dir, err := l.stubLayer(ctx, append(stubs, plan.Certificates(in)...), in.Env.Lowers, stores)
	if err != nil {
		return nil, err
	}
	s.Root.Lowers = append([]spec.Lower{{Path: dir, Why: "mount points, below everything so that they never show as a change"}}, s.Root.Lowers...)
	return s, nil
}

// IsFile tells whether a host path is there and no folder.
func IsFile(p string) bool {
	st, err := os.Stat(p)
	return err == nil && !st.IsDir()
}

// stubLayer gives a folder with these mount points, made once for these layers: where a path goes
// through links of the image, the folder must lie where the links lead.
func (l *Launcher) stubLayer(ctx context.Context, stubs []plan.Stub, lowers []spec.Lower, stores []string) (string, error) {
	name, err := stubName(stubs, lowers)
	if err != nil {
		return "", err
	}
	for _, store := range append(stores[:len(stores):len(stores)], l.StoreDir) {
		dir := filepath.Join(store, "layers-v1", name)
		if st, err := os.Lstat(dir); err == nil && st.IsDir() {
			return filepath.Join(dir, "fs"), nil
		}
	}
	for _, low := range lowers {
		if _, err := os.Stat(low.Path); err != nil {
			return "", &MissingLayer{low.Path}
		}
	}
	if l.MakeStubs == nil {
		return "", ErrEngine
	}
	return l.MakeStubs(ctx, name, stubs, lowers)
}

func stubName(stubs []plan.Stub, lowers []spec.Lower) (string, error) {
	h := sha256.New()
	for _, l := range lowers {
		fmt.Fprintf(h, "l %q\n", l.Path)
	}
	for _, s := range stubs {
		fmt.Fprintf(h, "s %q %t", s.Path, s.File)
		if s.Copy != "" {
			st, err := StampOf(s.Copy)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, " %v", st)
		}
		fmt.Fprintln(h)
	}
	return "5b" + hex.EncodeToString(h.Sum(nil))[2:], nil
}
