package sealed

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Every single bit matters: it breaks the seal, or, in the mark itself, the document.
func TestEveryBitIsSealed(t *testing.T) {
	doc := []byte("{\n  \"layers\": [\n    \"0123456789abcdef\"\n  ],\n  \"seen\": 1700000000\n}\n")
	b := Seal(doc)
	if got, err := Open(b); err != nil || !bytes.Equal(got, bytes.TrimRight(doc, "\n")) {
		t.Fatalf("%q, %v", got, err)
	}
	for i := range b {
		for bit := range 8 {
			x := bytes.Clone(b)
			x[i] ^= 1 << bit
			got, err := Open(x)
			if err == nil && json.Valid(got) {
				t.Errorf("bit %d of byte %d (%q) is not noticed", bit, i, b[i])
			}
		}
	}
	for n := range b {
		if got, err := Open(b[:n]); err == nil && json.Valid(got) && !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(doc)) {
			t.Errorf("cut after %d bytes: %q", n, got)
		}
	}
	if got, err := Open(doc); err != nil || !bytes.Equal(got, doc) {
		t.Errorf("without a seal: %q, %v", got, err)
	}
}
