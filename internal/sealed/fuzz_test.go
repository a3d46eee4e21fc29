package sealed

import (
	"bytes"
	"testing"
)

// FuzzOpen: what is opened is what was sealed, or from before there were seals, and can be sealed again.
func FuzzOpen(f *testing.F) {
	good := Seal([]byte("{\"ref\":\"a\"}"))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[:len(good)-20])
	f.Add(append(bytes.Clone(good), good...))
	f.Add([]byte(mark))
	f.Add([]byte("{}"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, err := Open(b)
		if err != nil {
			return
		}
		if !bytes.Contains(b, []byte(mark)) {
			if !bytes.Equal(doc, b) {
				t.Errorf("%q, opened: %q", b, doc)
			}
			return
		}
		if !bytes.Equal(Seal(doc), b) {
			t.Errorf("%q is not the seal of %q", b, doc)
		}
	})
}
