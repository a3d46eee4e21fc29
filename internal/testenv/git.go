package testenv

import (
	"errors"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// GitServer serves bare repositories over HTTP on loopback, by git's own http-backend.
type GitServer struct {
	URL string // http://127.0.0.1:PORT, the repositories are below it
	srv *httptest.Server
}

// GitOptions are the choices of [NewGitServer].
type GitOptions struct {
	User, Password string // if set, who does not give them gets 401
	Push           bool   // git push is allowed
}

// NewGitServer serves the repositories below root until Close.
func NewGitServer(root string, o GitOptions) (*GitServer, error) {
	backend, err := httpBackend()
	if err != nil {
		return nil, err
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	h := &cgi.Handler{
		Path: backend,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root,
			// The repositories may belong to another user of the same test.
			"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
			"GIT_CONFIG_KEY_1=http.receivepack", "GIT_CONFIG_VALUE_1=" + map[bool]string{true: "true", false: "false"}[o.Push]},
		InheritEnv: []string{"PATH"},
		Stderr:     io.Discard, // a repository that is not there is said there as well
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.User != "" {
			if u, p, _ := r.BasicAuth(); u != o.User || p != o.Password {
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				http.Error(w, "who are you", http.StatusUnauthorized)
				return
			}
		}
		h.ServeHTTP(w, r)
	}))
	return &GitServer{URL: srv.URL, srv: srv}, nil
}

// Close ends the server and its connections.
func (s *GitServer) Close() {
	s.srv.CloseClientConnections()
	s.srv.Close()
}

func httpBackend() (string, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "", err
	}
	p := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(p); err != nil {
		return "", errors.New("git has no http-backend")
	}
	return p, nil
}
