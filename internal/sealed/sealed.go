// Package sealed gives small documents of our own a checksum as their last line, so that one changed byte is
// noticed: it would make another name, or another number, of the same form otherwise. Use [Seal] for
// what is written and [Open] for what was read.
package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

const mark = "\nsha256:"

// ErrBroken says that a document is not what was sealed.
var ErrBroken = errors.New("its checksum does not fit")

// Seal is doc with its checksum. doc must not hold a line that looks like one; JSON never does.
func Seal(doc []byte) []byte {
	doc = bytes.TrimRight(doc, "\n")
	sum := sha256.Sum256(doc)
	out := append(bytes.Clone(doc), mark...)
	return append(hex.AppendEncode(out, sum[:]), '\n')
}

// Open is the document in b. One without a checksum is taken as it is: it is from before there were any.
func Open(b []byte) ([]byte, error) {
	doc, sum, ok := bytes.Cut(b, []byte(mark))
	if !ok {
		return b, nil
	}
	if want := Seal(doc); !bytes.Equal(want[len(doc)+len(mark):], sum) {
		return nil, ErrBroken
	}
	return doc, nil
}
