// Package registrytest starts a real registry server for tests: [Start]. It needs docker-registry
// on PATH and fails the test where that is missing. Servers listen on free loopback ports, keep their
// files in the test's folder and end with the test.
package registrytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The only account of a registry with Options.Auth.
const (
	User     = "user"
	Password = "secret-word"
	// htpasswd is the file for it: a bcrypt hash of cost 5.
	htpasswd = User + ":$2y$05$B52eqUq1Em..LlNZrV6odOQ2tePgEyx1dHMj4RsrjLmcLIjyvs7la\n"
)

// Options are what a test registry asks of its clients; the zero value is plain http for everybody.
type Options struct {
	Auth bool   // basic authentication: User and Password
	TLS  bool   // with a certificate of its own authority, see Registry.CA
	Dir  string // storage; "" = a folder of the test
}

// Registry is a running server.
type Registry struct {
	Addr      string // host:port
	CA        string // PEM file of the authority, with TLS
	AccessLog string // a file: one line for each request
	Dir       string // its storage

	auth bool
}

// URL is the address with its scheme.
func (r *Registry) URL() string {
	if r.CA != "" {
		return "https://" + r.Addr
	}
	return "http://" + r.Addr
}

// Requests returns the access log's lines "METHOD PATH STATUS" since the beginning.
func (r *Registry) Requests(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile(r.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		_, rest, ok := strings.Cut(line, `] "`) // combined log format
		request, after, ok2 := strings.Cut(rest, `"`)
		if f := strings.Fields(request); ok && ok2 && len(f) == 3 {
			out = append(out, f[0]+" "+f[1]+" "+strings.Fields(after)[0])
		}
	}
	return out
}

// Start runs a registry until the test ends.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	work := t.TempDir()
	r := &Registry{Addr: freeAddr(t), AccessLog: filepath.Join(work, "access.log"), Dir: o.Dir, auth: o.Auth}
	if r.Dir == "" {
		r.Dir = filepath.Join(work, "data")
	}
	var c strings.Builder
	fmt.Fprintf(&c, "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    rootdirectory: %s\n", r.Dir)
	fmt.Fprintf(&c, "http:\n  addr: %s\n", r.Addr)
	if o.TLS {
		cert, key := certificate(t, work)
		r.CA = cert
		fmt.Fprintf(&c, "  tls:\n    certificate: %s\n    key: %s\n", cert, key)
	}
	if o.Auth {
		path := filepath.Join(work, "htpasswd")
		if err := os.WriteFile(path, []byte(htpasswd), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&c, "auth:\n  htpasswd:\n    realm: test\n    path: %s\n", path)
	}
	config := filepath.Join(work, "config.yml")
	if err := os.WriteFile(config, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, r, config)
	return r
}

func serve(t testing.TB, r *Registry, config string) {
	t.Helper()
	path, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Fatalf("this test needs a registry server (Debian package docker-registry): %v", err)
	}
	log, err := os.Create(r.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, "serve", config)
	cmd.Stdout, cmd.Stderr = log, log
	// The server reads REGISTRY_… as settings, clients read REGISTRY_AUTH_FILE as a file.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REGISTRY_") })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-done })
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if c, err := net.Dial("tcp", r.Addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-done:
			b, _ := os.ReadFile(r.AccessLog)
			t.Fatalf("docker-registry ended: %s", b)
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("docker-registry does not answer")
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificate writes a self-signed certificate for the loopback address.
func certificate(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: kb}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
