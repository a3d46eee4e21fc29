package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// endpoint is one repository at one host. The first request goes out without asking whether it needs
// a token: most public images on private registries need one request and no more. Only a 401
// starts the exchange, whose result is then used by all.
type endpoint struct {
	c    *Client
	repo name.Repository

	mu     sync.Mutex
	scheme string            // "" = not known yet
	auth   http.RoundTripper // nil = none was needed yet
	down   bool              // it could not be reached
	login  error             // what kept credentials from being found, for the message
	knows  bool              // there are credentials, and they were sent
}

// do calls ask with a source for path below the repository.
func (e *endpoint) do(path, accept string, ask func(fetch.Source) error) error {
	return e.explain(ask(e.source(path, accept)))
}

// schemes are what is tried: only loopback and insecure hosts are also asked over plain http.
func (e *endpoint) schemes() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	host := e.repo.RegistryStr()
	switch {
	case e.scheme != "":
		return []string{e.scheme}
	case fetch.IsLoopback(host) || e.c.o.Insecure(host):
		return []string{"https", "http"}
	}
	return []string{"https"}
}

// source is where path lies. path begins behind the repository: "/manifests/…".
func (e *endpoint) source(path, accept string) fetch.Source {
	u := e.schemes()[0] + "://" + e.repo.RegistryStr() + "/v2/" + e.repo.RepositoryStr() + path
	return fetch.Source{URL: u, Accept: accept, Via: e}
}

// RoundTrip sends a request as it is, over plain http if the registry has nothing else and is allowed
// to, and logs in when it asks for that. Tokens that expire are renewed below, by
// go-containerregistry's transport.
func (e *endpoint) RoundTrip(req *http.Request) (*http.Response, error) {
	schemes, own := e.schemes(), req.URL.Host == e.repo.RegistryStr()
	if own && schemes[0] == "http" && req.URL.Scheme == "https" { // found out since its address was made
		req = req.Clone(req.Context())
		req.URL.Scheme = "http"
	}
	resp, err := e.send(req)
	if err != nil && own && len(schemes) == 2 && req.URL.Scheme == "https" && e.speaksPlain(err) {
		req = req.Clone(req.Context())
		req.URL.Scheme = "http"
		resp, err = e.send(req)
	}
	if err == nil && own && len(schemes) == 2 {
		e.mu.Lock()
		e.scheme = req.URL.Scheme
		e.mu.Unlock()
	}
	return resp, err
}

func (e *endpoint) send(req *http.Request) (*http.Response, error) {
	if auth := e.authenticated(); auth != nil {
		resp, err := auth.RoundTrip(req)
		if err != nil {
			return nil, e.renewed(err)
		}
		// Two requests that renew the token at once can make each other's useless.
		if resp.StatusCode == http.StatusUnauthorized && req.URL.Host == e.repo.RegistryStr() {
			resp.Body.Close()
			resp, err = auth.RoundTrip(req)
		}
		return resp, e.renewed(err)
	}
	resp, err := perHost{e.c}.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || req.URL.Host != e.repo.RegistryStr() {
		return resp, err
	}
	auth, err := e.logIn(req.Context(), req.URL.Scheme)
	if err != nil {
		if code := status(err); code == http.StatusUnauthorized || code == http.StatusForbidden {
			return resp, nil // refused: the first answer says the same
		}
		resp.Body.Close()
		return nil, fetch.Permanent(fmt.Errorf("log in: %w", err))
	}
	resp.Body.Close()
	resp, err = auth.RoundTrip(req)
	return resp, e.renewed(err)
}

// renewed tells an error of the request itself from one of renewing the token on the way.
func (e *endpoint) renewed(err error) error {
	var sent *wireError
	if err == nil || errors.As(err, &sent) {
		return err
	}
	return fetch.Permanent(fmt.Errorf("log in: %w", tokenError(err)))
}

func (e *endpoint) authenticated() http.RoundTripper {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.auth
}

// logIn gets a token, anonymous where there are no credentials.
func (e *endpoint) logIn(ctx context.Context, scheme string) (http.RoundTripper, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.auth != nil {
		return e.auth, nil
	}
	host := e.repo.RegistryStr()
	keys, err := e.c.keys.find(ctx, host, e.repo.RepositoryStr())
	if err != nil {
		e.c.o.Log.Warn("looking for credentials", "registry", host, "err", err)
		e.login = err
	}
	e.knows = keys != authn.Anonymous && err == nil
	opts := []name.Option{}
	if scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(host, opts...)
	if err != nil {
		return nil, err
	}
	// Not the context of the request: its marks say that fetch sees to tries and addresses.
	ctx = fetch.Unmarked(ctx)
	e.auth, err = transport.NewWithContext(ctx, reg, keys, wire{sameServer{led{host, e.c.fetch.Retrying(perHost{e.c})}}}, []string{e.repo.Scope(transport.PullScope)})
	if err != nil {
		e.auth = nil
	}
	return e.auth, tokenError(err)
}

// sameServer is for requests of the library that fetches tokens. Some of them hold the user's token for all
// time in their body, which a redirect that keeps method and body would hand to whomever it names.
type sameServer struct{ http.RoundTripper }

// RoundTrip refuses to let a body go to another server than the one that the registry named.
func (t sameServer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil || req.Body == nil || resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
		return resp, err
	}
	to, lerr := resp.Location()
	if lerr == nil && to.Host == req.URL.Host && (to.Scheme == "https" || to.Scheme == req.URL.Scheme) {
		return resp, nil
	}
	resp.Body.Close()
	return nil, fetch.Permanent(fmt.Errorf("the token server %s wants credentials to be sent to another server", req.URL.Host))
}

// speaksPlain tells the errors of an https request to a server that has only http.
func (e *endpoint) speaksPlain(err error) bool {
	noPort := !strings.Contains(strings.TrimPrefix(e.repo.RegistryStr(), "["), ":")
	return fetch.SpeaksPlain(err) || noPort && errors.Is(err, syscall.ECONNREFUSED)
}

// status is the answer's code in err; 0 = there was none.
func status(err error) int {
	var s *fetch.StatusError
	var t *transport.Error
	var n fetch.ErrNotFound
	switch {
	case errors.As(err, &s):
		return s.Code
	case errors.As(err, &t):
		return t.StatusCode
	case errors.As(err, &n):
		return http.StatusNotFound
	}
	return 0
}

// AccessError says that a registry lets nobody, or not this user, see an image.
type AccessError struct {
	Repository string
	Code       int
	Login      error // what kept credentials from being found; may be nil
	Refused    bool  // credentials were sent
	Err        error
}

func (e *AccessError) Error() string {
	return "private or no such image: " + e.Repository + aboutLogin(e.Login, e.Refused)
}

// aboutLogin says what there was to log in with, if anything.
func aboutLogin(unread error, sent bool) string {
	switch {
	case unread != nil:
		return " (credentials could not be read: " + unread.Error() + ")"
	case sent:
		return " (with the credentials that are filed for it)"
	}
	return ""
}

// Unwrap gives the answer.
func (e *AccessError) Unwrap() error { return e.Err }

// explain turns refusals into words.
func (e *endpoint) explain(err error) error {
	if fetch.SpeaksPlain(err) {
		return hint.With(err, fmt.Sprintf("it seems to have plain http only, which --allow-http allows, or insecure = true in [registry.%q] of the user's configuration", e.repo.RegistryStr()))
	}
	code := status(err)
	if code != http.StatusUnauthorized && code != http.StatusForbidden {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return hint.With(&AccessError{Repository: display(e.repo), Code: code, Login: e.login, Refused: e.knows, Err: err}, "check the spelling; if it is private, "+e.howToLogIn())
}

// howToLogIn names what writes the file that we read. e.mu is held.
func (e *endpoint) howToLogIn() string {
	host := e.repo.RegistryStr()
	switch {
	case host == hub:
		host = "docker.io"
	case e.c.o.Insecure(host), fetch.IsLoopback(host) && e.scheme != "https": // podman asks nobody without a certificate that it knows
		return fmt.Sprintf("log in with `podman login --tls-verify=false %s`, which writes the file that sandbox reads", host)
	}
	return fmt.Sprintf("log in with `docker login %s` or `podman login %s`, which write the file that sandbox reads", host, host)
}

// display is the name as users write it.
func display(r name.Repository) string {
	if r.RegistryStr() == hub {
		return "docker.io/" + r.RepositoryStr()
	}
	return r.Name()
}
