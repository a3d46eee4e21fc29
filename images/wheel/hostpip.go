package wheel

import (
	"archive/zip"
	"bufio"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// pipModels is where pip keeps the address of its index.
const pipModels = "pip/_internal/models/index.py"

// pipDefault asks the Pythons of this machine, then copies of pip, for pip's own index.
func (s Settings) pipDefault(ctx context.Context) (address, from string) {
	if s.RunPython {
		for _, py := range pythonsOn(s.Getenv("PATH")) {
			if u := askPython(ctx, py, s.Getenv); u != "" {
				return u, "the pip of " + py
			}
		}
	}
	for _, p := range s.Pips {
		if u, err := PipDefault(p); err == nil {
			return u, p
		}
	}
	return "", ""
}

// pythonsOn lists interpreters that may have pip: those that pip's own scripts name, then the
// usual names.
func pythonsOn(path string) []string {
	var out []string
	seen := map[string]bool{}
	add := func(p string) {
		if p != "" && !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	for _, name := range []string{"pip", "pip3", "python3", "python"} {
		for _, dir := range filepath.SplitList(path) {
			p := filepath.Join(dir, name)
			fi, err := os.Stat(p)
			// A relative entry of PATH would make the project's own files run.
			if !filepath.IsAbs(p) || err != nil || !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0 {
				continue
			}
			if strings.HasPrefix(name, "pip") {
				p = shebang(p)
			}
			add(p)
		}
	}
	return out
}

// shebang is the Python that a script names in its first line, or "".
func shebang(script string) string {
	f, err := os.Open(script)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	rest, ok := strings.CutPrefix(line, "#!")
	if err != nil || !ok {
		return ""
	}
	fields := strings.Fields(rest)
	if len(fields) != 1 || !strings.Contains(filepath.Base(fields[0]), "python") {
		return "" // "/usr/bin/env python3" is found on PATH anyway
	}
	return fields[0]
}

// askPython runs an interpreter. It starts in the root folder, since Python looks for modules where
// it is started, and that may be a stranger's project.
func askPython(ctx context.Context, python string, getenv func(string) string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")
	cmd.Dir = "/"
	for _, k := range []string{"PATH", "HOME", "LANG", "LC_ALL", "PYENV_ROOT", "PYENV_VERSION", "VIRTUAL_ENV"} {
		if v := getenv(k); v != "" {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return httpURL(strings.TrimSpace(string(out)))
}

func httpURL(s string) string {
	if u, err := url.Parse(s); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
		return s
	}
	return ""
}

// PipDefault reads the address of pip's own index from a wheel file of pip, or from pip's folder in
// a site-packages. Nothing is executed.
func PipDefault(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if fi.IsDir() {
		b, ok := smallFile(filepath.Join(path, strings.TrimPrefix(pipModels, "pip/")))
		if !ok {
			return "", errors.New(path + ": not a folder of pip")
		}
		return PipModelsDefault(b)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return "", err
	}
	defer z.Close()
	f, err := z.Open(pipModels)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return "", err
	}
	return PipModelsDefault(b)
}

var pipIndexRE = lazyregexp.New(`(?m)^PyPI\s*=\s*PackageIndex\(\s*["']([^"'\s]+)["']`)

// PipModelsDefault reads the address from the text of pip's models/index.py.
func PipModelsDefault(src []byte) (string, error) {
	m := pipIndexRE.FindSubmatch(src)
	if m == nil || httpURL(string(m[1])) == "" {
		return "", errors.New("pip does not say what its index is")
	}
	return strings.TrimSuffix(string(m[1]), "/") + "/simple", nil
}
