package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// Blob is one blob to push.
type Blob struct {
	oci.Descriptor
	What string
	// From is another repository ("host/path") that has the blob: a registry that has both can take it
	// from there without its bytes. "" = none is known.
	From string
	// Open gives the bytes; it is only asked where they have to be sent, perhaps more than once.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Upload is what [Client.Push] sends.
type Upload struct {
	Blobs     []Blob // in any order; the configuration is one
	Manifest  []byte
	Config    []byte // for the caller; it is sent as one of Blobs
	MediaType string // of the manifest
	Report    progress.Report
	Jobs      int // blobs at once; 0 = 4
}

// Pushed says what a push came to.
type Pushed struct {
	Digest store.Digest `json:"manifest"`
	Sent   int          `json:"sent"`  // blobs whose bytes were sent
	Bytes  int64        `json:"bytes"` // of them
	Blobs  int          `json:"blobs"`

	Referrers []store.Digest `json:"referrers,omitempty"` // documents about the image
}

// pushStall ends a push that does not get on: no byte was taken and no request answered. A registry may
// need some time to check a large blob after its last byte.
const pushStall = 5 * time.Minute

// Push brings an image to host/path. tag is "" for one that is only named by its digest. What the registry
// has is not sent, what another repository of it has is mounted; the manifest comes last, so that
// a push that is cut off changes nothing that anybody sees and can be made again.
//
// It goes to the registry itself, never to its mirrors.
func (c *Client) Push(ctx context.Context, host, path, tag string, u Upload) (Pushed, error) {
	done := Pushed{Digest: store.DigestOf(u.Manifest), Blobs: len(u.Blobs)}
	e, err := c.endpoint(host, path)
	if err != nil {
		return done, err
	}
	repo := e.repo
	if c.o.Insecure(repo.RegistryStr()) {
		if repo, err = name.NewRepository(repo.Name(), name.Insecure); err != nil {
			return done, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &push{c: c, ctx: ctx, up: u}
	p.stall = time.AfterFunc(pushStall, func() {
		if p.opening.Load() > 0 { // a source has a clock of its own
			p.stall.Reset(pushStall)
			return
		}
		cancel(fmt.Errorf("%w in %s", fetch.ErrStalled, pushStall))
	})
	defer p.stall.Stop()
	err = p.run(repo, tag, e)
	done.Sent, done.Bytes = int(p.sent.Load()), p.bytes.Load()
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(cause, fetch.ErrStalled) {
		err = cause
	}
	if err != nil {
		return done, e.explainPush(err)
	}
	return done, nil
}

type push struct {
	c     *Client
	ctx   context.Context
	up    Upload
	stall *time.Timer

	sent, bytes atomic.Int64
	opening     atomic.Int64 // blobs that are fetched from where they came
}

func (p *push) run(repo name.Repository, tag string, e *endpoint) error {
	keys, err := p.c.keys.find(p.ctx, repo.RegistryStr(), repo.RepositoryStr())
	if err != nil {
		p.c.o.Log.Warn("looking for credentials", "registry", repo.RegistryStr(), "err", err)
	}
	e.mu.Lock()
	e.login, e.knows = err, err == nil && keys != authn.Anonymous
	e.mu.Unlock()
	agent := p.c.o.Fetch.UserAgent
	if agent == "" {
		agent = "sandbox"
	}
	pusher, err := remote.NewPusher(remote.WithContext(p.ctx), remote.WithTransport(alive{p, wire{led{repo.RegistryStr(), perHost{p.c}}}}), remote.WithAuth(keys), remote.WithUserAgent(agent),
		remote.WithRetryBackoff(remote.Backoff{Duration: time.Second, Factor: 3, Jitter: 0.1, Steps: 4}))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(p.ctx)
	g.SetLimit(p.jobs())
	for _, b := range p.up.Blobs {
		g.Go(func() error {
			var l v1.Layer = &pushLayer{p: p, ctx: ctx, b: b}
			if from := mountable(b.From, repo); from != nil {
				l = &remote.MountableLayer{Layer: l, Reference: from}
			}
			if err := pusher.Upload(ctx, repo, l); err != nil {
				return fmt.Errorf("%s: %w", b.What, err)
			}
			p.up.Report.Do("push", b.What, b.Size, b.Size)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var ref name.Reference = repo.Digest(string(store.DigestOf(p.up.Manifest)))
	if tag != "" {
		ref = repo.Tag(tag)
	}
	return pusher.Put(p.ctx, ref, document{p.up.Manifest, p.up.MediaType})
}

func (p *push) jobs() int {
	if p.up.Jobs > 0 {
		return p.up.Jobs
	}
	return 4
}

// mountable is a repository of the same registry that has a blob.
func mountable(from string, to name.Repository) name.Reference {
	if from == "" {
		return nil
	}
	r, err := name.NewRepository(from)
	if err != nil || r.RegistryStr() != to.RegistryStr() || r.RepositoryStr() == to.RepositoryStr() {
		return nil
	}
	return r.Tag("latest") // only the repository's name is used
}

type document struct {
	b []byte
	t string
}

// RawManifest and MediaType are what remote.Taggable asks for.
func (d document) RawManifest() ([]byte, error) { return d.b, nil }

// MediaType is the document's.
func (d document) MediaType() (types.MediaType, error) { return types.MediaType(d.t), nil }

// pushLayer is a blob as go-containerregistry sees it.
type pushLayer struct {
	p   *push
	ctx context.Context
	b   Blob
}

// Digest is that of the bytes as they are sent.
func (l *pushLayer) Digest() (v1.Hash, error) { return v1.NewHash(string(l.b.Digest)) }

// DiffID is not used by pushes.
func (l *pushLayer) DiffID() (v1.Hash, error) { return v1.Hash{}, errors.New("not known") }

// Size is that of the bytes as they are sent.
func (l *pushLayer) Size() (int64, error) { return l.b.Size, nil }

// MediaType is the blob's; anything that may be pushed will do.
func (l *pushLayer) MediaType() (types.MediaType, error) { return types.MediaType(l.b.MediaType), nil }

// Uncompressed is not used by pushes.
func (l *pushLayer) Uncompressed() (io.ReadCloser, error) { return nil, errors.New("not known") }

// Compressed gives the bytes and counts them.
func (l *pushLayer) Compressed() (io.ReadCloser, error) {
	l.p.opening.Add(1)
	r, err := l.b.Open(l.ctx)
	l.p.opening.Add(-1)
	l.p.stall.Reset(pushStall)
	if err != nil {
		return nil, fetch.Permanent(&sourceError{err})
	}
	l.p.sent.Add(1)
	return &counted{ReadCloser: r, l: l}, nil
}

// sourceError is one of where the bytes come from: nothing that the registry has said or done, even if it came from
// another one.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

type counted struct {
	io.ReadCloser
	l *pushLayer
	n int64
}

// Read counts.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	c.l.p.bytes.Add(int64(n))
	c.l.p.stall.Reset(pushStall)
	if c.n < c.l.b.Size {
		c.l.p.up.Report.Do("push", c.l.b.What, c.n, c.l.b.Size)
	}
	return n, err
}

// alive notes that the registry answers.
type alive struct {
	p  *push
	rt http.RoundTripper
}

// RoundTrip passes the request on.
func (a alive) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.rt.RoundTrip(r)
	if err == nil {
		a.p.stall.Reset(pushStall)
	}
	return resp, err
}

// Refused tells a registry's answer that it does not want what was sent from every other failure.
func Refused(err error) bool {
	var t *transport.Error
	return errors.As(err, &t) && t.StatusCode >= 400 && t.StatusCode < 500 && t.StatusCode != http.StatusTooManyRequests
}

// explainPush turns refusals into words.
func (e *endpoint) explainPush(err error) error {
	host := e.repo.RegistryStr()
	if host == hub {
		host = "docker.io"
	}
	var t *transport.Error
	var dial *net.OpError
	var source *sourceError
	switch {
	case errors.As(err, &source):
		return source.err
	case errors.As(err, &t):
	case errors.As(err, &dial) && dial.Op == "dial": // the library has tried https and http, and says so at length
		return hint.With(fmt.Errorf("nobody answers at %s: %w", host, dial), "check name and port, and the network; a proxy is taken from HTTPS_PROXY and HTTP_PROXY")
	default:
		return pushError(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch t.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return hint.With(&PushError{Repository: display(e.repo), Code: t.StatusCode, Login: e.login, Refused: e.knows, Err: err}, e.howToLogIn()+"; the account must be allowed to push")
	case http.StatusMethodNotAllowed:
		return &PushError{Repository: display(e.repo), Code: t.StatusCode, Err: err}
	}
	return pushError(err)
}

// PushError says that a registry does not let this user write, or nobody.
type PushError struct {
	Repository string
	Code       int
	Login      error // what kept credentials from being found; may be nil
	Refused    bool  // credentials were sent
	Err        error
}

func (e *PushError) Error() string {
	if e.Code == http.StatusMethodNotAllowed {
		return "this registry takes no images: " + e.Repository
	}
	return "not allowed to push to: " + e.Repository + aboutLogin(e.Login, e.Refused)
}

// Unwrap gives the answer.
func (e *PushError) Unwrap() error { return e.Err }
