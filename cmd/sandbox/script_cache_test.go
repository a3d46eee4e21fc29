package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// cacheUse is whether a script shares its downloads.
type (
	cacheKey struct{}
	cacheUse struct {
		dir string // the store of downloads
		bin string // where the tool is
		on  bool   // what was fetched is given to it
	}
)

// harvest copies what a store has fetched to the cache, so that the next script, and the next user, need
// not. Content is named by its hash and checked by whoever reads it.
func (c *cacheUse) harvest(store string) {
	to := filepath.Join(c.dir, "blobs-v1", "sha256")
	if !c.on || os.MkdirAll(to, 0o755) != nil {
		return
	}
	_ = filepath.WalkDir(filepath.Join(store, "blobs-v1", "sha256"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		b, err := os.Open(p)
		if err != nil {
			return nil
		}
		defer b.Close()
		keep(filepath.Join(to, d.Name()), b)
		return nil
	})
}

// keep writes a file that everybody can read, whole or not at all. It is a copy: the cache has to
// outlive what a script does to its store.
func keep(path string, r io.Reader) {
	if _, err := os.Stat(path); err == nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(filepath.Dir(path)), "new-")
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, r)
	if errors.Join(err, f.Chmod(0o644), f.Close()) == nil {
		_ = os.Rename(f.Name(), path)
	}
}

// writeStores chains stores in the configuration of whoever has that home.
func writeStores(home string, stores ...string) error {
	conf := filepath.Join(home, ".config", "sandbox")
	var list []string
	for _, s := range stores {
		list = append(list, fmt.Sprintf("%q", s))
	}
	return errors.Join(os.MkdirAll(conf, 0o755),
		os.WriteFile(filepath.Join(conf, "config.toml"), fmt.Appendf(nil, "stores = [%s]\n", strings.Join(list, ", ")), 0o644))
}

// builtProject is what scripts start from that are about something on top of it.
const builtProject = "schema = 1\n[image]\nbase = \"deb:trixie\"\n[toolchain]\npython = \"3.13\"\n"

// built is a store that has its layers, made once for all scripts of this process: those that say so do not
// assemble the base again. Others do, so nothing is proved less.
func built(c *cacheUse) (string, error) {
	builtStore.Do(func() { builtStore.err = makeBuilt(c) })
	return filepath.Join(builtStore.dir, "store"), builtStore.err
}

// builtStore is removed by TestMain.
var builtStore struct {
	sync.Once
	dir string
	err error
}

func makeBuilt(c *cacheUse) error {
	dir, err := os.MkdirTemp("", "sbx-built")
	if err != nil {
		return err
	}
	builtStore.dir = dir
	if err := errors.Join(writeStores(dir, c.dir), os.WriteFile(filepath.Join(dir, "sandbox.toml"), []byte(builtProject), 0o644)); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(c.bin, "sandbox"), "-q", "lock", "--build")
	cmd.Dir = dir
	cmd.Env = append(testenv.CleanEnv("nobody", dir), "SANDBOX_STORE="+filepath.Join(dir, "store"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("a base with Python: %w\n%s", err, out)
	}
	(&cacheUse{dir: c.dir, on: true}).harvest(filepath.Join(dir, "store"))
	return nil
}
