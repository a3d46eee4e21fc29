package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/4cc2e759/sandbox/internal/printable"
)

// Digest is the name of content: "sha256:" and 64 lower-case hexadecimal digits.
type Digest string

const digestPrefix = "sha256:"

// ParseDigest checks that s is a digest that this store can hold.
func ParseDigest(s string) (Digest, error) {
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || !isHex(h) {
		return "", fmt.Errorf("not a sha256 digest: %q", printable.Line(s, 100))
	}
	return Digest(s), nil
}

// FromHex makes a digest of 64 hexadecimal digits.
func FromHex(h string) (Digest, error) { return ParseDigest(digestPrefix + h) }

// DigestOf hashes b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

// FromSum makes a digest of a finished sha256.
func FromSum(sum []byte) Digest { return Digest(digestPrefix + hex.EncodeToString(sum)) }

// Hex is the digest without its algorithm; "" if d is not valid.
func (d Digest) Hex() string {
	if h, ok := strings.CutPrefix(string(d), digestPrefix); ok && isHex(h) {
		return h
	}
	return ""
}

func isHex(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ctxReader ends with its context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
