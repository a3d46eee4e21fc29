package launch

import (
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/plan"
)

// caBundles are where distributions keep the certificates they trust: Debian and Arch, Fedora and
// RHEL, openSUSE, Alpine.
var caBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// Host gathers what this machine adds to a plan.
func (l *Launcher) Host() plan.Host {
	h := plan.Host{UID: os.Getuid(), GID: os.Getgid(), Environ: l.Environ}
	if p, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil {
		h.ResolvConf = p
	}
	if b, err := smallfile.Read("/etc/hosts"); err == nil {
		h.Hosts = string(b)
	}
	h.CABundle = l.caBundle()
	return h
}

func (l *Launcher) caBundle() string {
	if f := l.Environ["SSL_CERT_FILE"]; f != "" {
		if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
			return f
		}
	}
	for _, f := range caBundles {
		if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
			return f
		}
	}
	return ""
}
