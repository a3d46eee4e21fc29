// Package printable makes text of strangers fit for a terminal and a log: what a server answers, a name in
// an archive or a document of an image may be long, may have many lines, and may hold the sequences by
// which a terminal is told to do things. Use [Line] for words in a message, [Error] for a whole error, and
// [Text] where everything passes before it is shown.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is s in one line of at most max bytes: white space becomes a space, what cannot be printed an
// escape. What is left out is marked by an ellipsis.
func Line(s string, max int) string {
	var b strings.Builder
	space, cut := false, 0 // cut is where the ellipsis would go
	for i, r := range s {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		w := escaped(s[i:], r)
		if space {
			w = " " + w
			space = false
		}
		if b.Len()+len(w) > max {
			return b.String()[:cut] + "…"
		}
		b.WriteString(w)
		if b.Len() <= max-len("…") {
			cut = b.Len()
		}
	}
	return b.String()
}

// Text is s with its line breaks and tabs, everything else that cannot be printed as an escape, and lines cut
// where they are longer than max bytes.
func Text(s string, max int) string {
	if !needsWork(s, max) {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		var b strings.Builder
		for j, r := range l {
			w := escaped(l[j:], r)
			if r == '\t' {
				w = "\t"
			}
			if b.Len()+len(w) > max {
				b.WriteString("…")
				break
			}
			b.WriteString(w)
		}
		lines[i] = b.String()
	}
	return strings.Join(lines, "\n")
}

func needsWork(s string, max int) bool {
	n := 0
	for i, r := range s {
		n += utf8.RuneLen(r)
		switch {
		case r == '\n':
			n = 0
		case r == '\t':
		case n > max, r != ' ' && !unicode.IsPrint(r), r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return true
		}
	}
	return false
}

// escaped is the rune that s begins with, as it can be shown.
func escaped(s string, r rune) string {
	if r == utf8.RuneError && !strings.HasPrefix(s, "\uFFFD") {
		q := strconv.Quote(s[:1])
		return q[1 : len(q)-1]
	}
	if unicode.IsPrint(r) {
		return string(r)
	}
	q := strconv.QuoteRune(r)
	return q[1 : len(q)-1]
}

// Error is err with its text as [Line] makes it. Nil stays nil.
func Error(err error, max int) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	if l := Line(said, max); l != said {
		return &lined{l, err}
	}
	return err
}

type lined struct {
	text string
	err  error
}

func (e *lined) Error() string { return e.text }
func (e *lined) Unwrap() error { return e.err }
