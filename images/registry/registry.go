// Package registry speaks to image registries: where an image's documents and layers lie, and what is
// needed to be let in. Start with [New] and [Client.Repository].
//
// Authentication is go-containerregistry's; requests, redirects, retries and resuming are those of
// package fetch, because the bodies need what that package checks.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/internal/smallfile"
)

// Options are how registries are reached; the zero value is good.
type Options struct {
	Transport http.RoundTripper      // nil = as package fetch makes it
	Insecure  func(host string) bool // hosts where plain http and unknown certificates are accepted
	Mirrors   map[string][]string    // registry host → hosts to ask first, "host[:port][/prefix]"
	CA        map[string]string      // registry host → PEM file of its authority
	Fetch     fetch.Options          // of the downloads; Transport and PlainHTTP are set here
	Log       *slog.Logger
}

// Client is for all registries. It is safe for use by many goroutines and keeps tokens and
// connections between calls.
type Client struct {
	o     Options
	fetch *fetch.Client
	wide  *fetch.Wide
	rt    http.RoundTripper
	keys  *keychain

	mu    sync.Mutex
	hosts map[string]http.RoundTripper // host → transport with its certificates
	repos map[string]*endpoint
}

// New returns a client.
func New(o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Insecure == nil {
		o.Insecure = func(string) bool { return false }
	}
	c := &Client{o: o, rt: o.Transport, hosts: map[string]http.RoundTripper{}, repos: map[string]*endpoint{}, keys: newKeychain()}
	if c.rt == nil {
		c.rt = fetch.NewTransport()
	}
	f := o.Fetch
	f.Log, f.PlainHTTP, f.Transport = o.Log, o.Insecure, perHost{c}
	c.fetch, c.wide = fetch.New(f), fetch.NewWide()
	return c
}

// perHost sends each request with the certificates that its own host asks for, also after redirects.
type perHost struct{ c *Client }

// RoundTrip refuses plain http where nobody allowed it, whoever made the request; package fetch has
// looked at the addresses of its own, redirects included.
func (t perHost) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Host
	if r.URL.Scheme == "http" && !fetch.IsLoopback(host) && !t.c.o.Insecure(host) && !fetch.Checked(r.Context()) {
		return nil, fmt.Errorf("plain http to %s is refused", host)
	}
	rt, err := t.c.transport(host)
	if err != nil {
		return nil, err
	}
	return rt.RoundTrip(r)
}

func (c *Client) transport(host string) (http.RoundTripper, error) {
	insecure, ca := c.o.Insecure(host), c.o.CA[host]
	base, ok := c.rt.(*http.Transport)
	if !ok || (!insecure && ca == "") {
		return c.rt, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if rt := c.hosts[host]; rt != nil {
		return rt, nil
	}
	conf := &tls.Config{InsecureSkipVerify: insecure}
	if ca != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pem, err := smallfile.Read(ca)
		if err != nil {
			return nil, fmt.Errorf("certificate authority of %s: %w", host, err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authority of %s: no certificate in %s", host, ca)
		}
		conf.RootCAs = pool
	}
	t := base.Clone()
	t.TLSClientConfig = conf
	c.hosts[host] = t
	return t, nil
}

// Repository is one repository of a registry and its mirrors.
type Repository struct {
	c         *Client
	name      name.Repository
	endpoints []*endpoint // mirrors first, the registry itself last
}

// Repository returns the repository called host/path; nothing is sent yet.
func (c *Client) Repository(host, path string) (*Repository, error) {
	repo, err := name.NewRepository(host+"/"+path, name.WeakValidation)
	if err != nil {
		return nil, err
	}
	r := &Repository{c: c, name: repo}
	for _, m := range c.o.Mirrors[host] {
		mhost, prefix, _ := strings.Cut(strings.TrimSuffix(m, "/"), "/")
		full := repo.RepositoryStr()
		if prefix != "" {
			full = prefix + "/" + full
		}
		e, err := c.endpoint(mhost, full)
		if err != nil {
			return nil, fmt.Errorf("mirror %s: %w", m, err)
		}
		r.endpoints = append(r.endpoints, e)
	}
	e, err := c.endpoint(repo.RegistryStr(), repo.RepositoryStr())
	if err != nil {
		return nil, err
	}
	r.endpoints = append(r.endpoints, e)
	return r, nil
}

// endpoint is shared by all users of one repository at one host, for its token.
func (c *Client) endpoint(host, path string) (*endpoint, error) {
	repo, err := name.NewRepository(host + "/" + path)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := repo.Name()
	if c.repos[key] == nil {
		c.repos[key] = &endpoint{c: c, repo: repo}
	}
	return c.repos[key], nil
}

// each asks one endpoint after the other until one answers; what the registry itself says counts.
func (r *Repository) each(ctx context.Context, ask func(e *endpoint) error) error {
	var err error
	for _, e := range r.alive() {
		if err = ask(e); err == nil || ctx.Err() != nil {
			return err
		}
		r.c.o.Log.Info("no answer that helps", "from", e.repo.Name(), "err", err)
		if fetch.Unreachable(err) {
			e.mu.Lock()
			e.down = true
			e.mu.Unlock()
		}
	}
	return err
}

// alive leaves out mirrors that could not be reached once, so that each request does not wait for them
// again.
func (r *Repository) alive() (out []*endpoint) {
	for i, e := range r.endpoints {
		e.mu.Lock()
		if !e.down || i == len(r.endpoints)-1 {
			out = append(out, e)
		}
		e.mu.Unlock()
	}
	return out
}
