package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
)

// keychain finds credentials where `docker login` and `podman login` put them.
type keychain struct {
	getenv func(string) string
	home   string
	run    string // /run, but in tests
}

func newKeychain() *keychain {
	home, _ := os.UserHomeDir()
	return &keychain{os.Getenv, home, "/run"}
}

// credential is one entry of "auths".
type credential struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

type authFile struct {
	path    string
	Auths   map[string]credential `json:"auths"`
	Store   string                `json:"credsStore"`
	Helpers map[string]string     `json:"credHelpers"`
}

// maxAuthFile is far above any real one.
const maxAuthFile = 4 << 20

// paths are the files in the order in which they are asked. The first that knows the registry wins.
func (k *keychain) paths() []string {
	var out []string
	if p := k.getenv("REGISTRY_AUTH_FILE"); p != "" {
		out = append(out, p)
	}
	if d := k.getenv("DOCKER_CONFIG"); d != "" {
		out = append(out, filepath.Join(d, "config.json"))
	} else if k.home != "" {
		out = append(out, filepath.Join(k.home, ".docker", "config.json"))
	}
	if d := k.getenv("XDG_RUNTIME_DIR"); d != "" {
		out = append(out, filepath.Join(d, "containers", "auth.json"))
	} else {
		out = append(out, k.withoutRuntimeDir()...)
	}
	if d := k.getenv("XDG_CONFIG_HOME"); d != "" {
		out = append(out, filepath.Join(d, "containers", "auth.json"))
	} else if k.home != "" {
		out = append(out, filepath.Join(k.home, ".config", "containers", "auth.json"))
	}
	return out
}

// withoutRuntimeDir is where podman and skopeo write if there is no session that says where (su, containers, cron), in
// the order in which podman tries: pkg/util/utils_supported.go of podman, pkg/docker/config of containers/image. That
// below /tmp lies in a folder of everybody's, where only one that is ours alone is believed.
func (k *keychain) withoutRuntimeDir() []string {
	uid := os.Getuid()
	var out []string
	// podman that root runs makes /run/containers for itself alone: nobody else has logged in there.
	ask := func(path string) {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrPermission) {
			out = append(out, path)
		}
	}
	ask(filepath.Join(k.run, "user", strconv.Itoa(uid), "containers", "auth.json"))
	tmp := k.getenv("TMPDIR")
	if tmp == "" {
		tmp = "/tmp"
	}
	dir := filepath.Join(tmp, fmt.Sprintf("podman-run-%d", uid))
	if fi, err := os.Lstat(dir); err == nil && fi.IsDir() && fi.Mode().Perm()&0o022 == 0 {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
			out = append(out, filepath.Join(dir, "containers", "auth.json"))
		}
	}
	ask(filepath.Join(k.run, "containers", strconv.Itoa(uid), "auth.json"))
	return out
}

// find returns the credentials for a repository (host and path), or Anonymous. An error is what kept it
// from looking everywhere; the credentials beside it are still the best there are.
func (k *keychain) find(ctx context.Context, host, path string) (authn.Authenticator, error) {
	var problems []error
	var files []*authFile
	if s := k.getenv("DOCKER_AUTH_CONFIG"); s != "" {
		f, err := parseAuthFile("$DOCKER_AUTH_CONFIG", []byte(s))
		files, problems = append(files, f), append(problems, err)
	}
	for _, p := range k.paths() {
		f, err := readAuthFile(p)
		files, problems = append(files, f), append(problems, err)
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		a, err := f.find(ctx, host, path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", f.path, err))
		}
		if a != nil {
			return a, nil
		}
	}
	return authn.Anonymous, errors.Join(problems...)
}

// readAuthFile returns nil where there is no such file.
func readAuthFile(path string) (*authFile, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAuthFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAuthFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxAuthFile)
	}
	return parseAuthFile(path, b)
}

func parseAuthFile(path string, b []byte) (*authFile, error) {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	f := &authFile{path: path}
	if len(b) == 0 {
		return f, nil
	}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("%s: not a file of credentials: %w", path, noContent(err))
	}
	return f, nil
}

// noContent keeps what a JSON error may quote out of messages.
func noContent(err error) error {
	var s *json.SyntaxError
	if errors.As(err, &s) {
		return fmt.Errorf("syntax error at byte %d", s.Offset)
	}
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return fmt.Errorf("wrong type at byte %d", t.Offset)
	}
	return errors.New("malformed")
}

// find asks, in this order: the registry's own helper, the file's default helper, its entries.
func (f *authFile) find(ctx context.Context, host, path string) (authn.Authenticator, error) {
	var problem error
	key := serverKey(host)
	for _, h := range []string{f.Helpers[host], f.Helpers[key], f.Store} {
		if h == "" {
			continue
		}
		c, err := askHelper(ctx, h, key)
		if err != nil {
			problem = err
		} else if c != nil {
			return c.authenticator()
		}
	}
	for _, k := range keysFor(host, path) {
		for name, c := range f.Auths {
			if normalKey(name) != k || c == (credential{}) {
				continue
			}
			a, err := c.authenticator()
			if err != nil {
				return nil, fmt.Errorf("entry %s: %w", name, err)
			}
			return a, nil
		}
	}
	return nil, problem
}

const hub = "index.docker.io"

// serverKey is what helpers know a registry by.
func serverKey(host string) string {
	if host == hub {
		return "https://" + hub + "/v1/"
	}
	return host
}

// keysFor lists the entries that can hold credentials, the narrowest first: podman's files may name a
// repository or a part of its path.
func keysFor(host, path string) []string {
	var out []string
	for _, h := range append([]string{host}, hubNames(host)...) {
		for p := path; p != ""; p = p[:max(strings.LastIndexByte(p, '/'), 0)] {
			out = append(out, h+"/"+p)
		}
	}
	return append(append(out, host), hubNames(host)...)
}

func hubNames(host string) []string {
	if host == hub {
		return []string{"docker.io", "registry-1.docker.io"}
	}
	return nil
}

// normalKey takes the scheme and the version path of old files off.
func normalKey(k string) string {
	k = strings.TrimPrefix(strings.TrimPrefix(k, "https://"), "http://")
	k = strings.TrimSuffix(k, "/")
	return strings.TrimSuffix(strings.TrimSuffix(k, "/v1"), "/v2")
}

func (c credential) authenticator() (authn.Authenticator, error) {
	a := authn.AuthConfig{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken}
	if c.Auth != "" {
		b, err := base64.StdEncoding.DecodeString(strings.TrimRight(c.Auth, "=") + strings.Repeat("=", (4-len(strings.TrimRight(c.Auth, "="))%4)%4))
		user, pass, ok := strings.Cut(string(b), ":")
		if err != nil || !ok {
			return nil, errors.New("malformed auth")
		}
		a.Username, a.Password = user, strings.Trim(pass, "\x00")
	}
	return authn.FromConfig(a), nil
}
