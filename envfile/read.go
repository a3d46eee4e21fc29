package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// maxFile is how large an env file may be. Nobody writes a larger one, and reading costs several
// times the size.
const maxFile = 1 << 20

// readTree reads TOML into a tree with places. Its error is a *Problem.
func readTree(src *source) (*keyNode, *Problem) {
	if p := unreadable(src); p != nil {
		return nil, p
	}
	places, at, scanErr := scanPlaces(src.text)
	if errors.Is(scanErr, errNesting) || errors.Is(scanErr, errNodes) {
		p := src.problem(span{at, at + 1}, "", "%v", scanErr)
		return nil, &p
	}
	text := src.text
	if scanErr != nil {
		// The decoder has the better words, but follows nesting by recursion: it gets only what the
		// scanner has measured, and the rest of the line for the message.
		text = text[:lineEnd(text, at)]
	}
	doc, err := decodeTOML(text)
	if err != nil {
		return nil, syntaxProblem(src, err)
	}
	if scanErr != nil {
		p := src.problem(span{at, at + 1}, "", "%v", scanErr)
		return nil, &p
	}
	root := newTable(src, span{})
	root.fill(doc, nil, places)
	return root, nil
}

// unreadable finds what makes a file no TOML at all.
func unreadable(src *source) *Problem {
	fail := func(at int, format string, args ...any) *Problem {
		p := src.problem(span{at, at + 1}, "", format, args...)
		return &p
	}
	if len(src.text) > maxFile {
		return &Problem{Pos: Pos{File: src.name}, Msg: fmt.Sprintf("larger than %s: %d bytes", Size(maxFile), len(src.text)), Len: 1}
	}
	if i := strings.IndexByte(src.text, 0); i >= 0 {
		return fail(i, "a NUL byte; is this text in UTF-8")
	}
	for i := 0; i < len(src.text); {
		r, n := utf8.DecodeRuneInString(src.text[i:])
		if r == utf8.RuneError && n == 1 {
			return fail(i, "not UTF-8: byte 0x%02x", src.text[i])
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return fail(i, "a control character, 0x%02x: write it as \\u%04x in a string", r, r)
		}
		i += n
	}
	return conflicts(src)
}

// conflicts finds what Git leaves in a file whose merge was not finished: "<<<<<<< " … "=======" …
// ">>>>>>> " at the starts of lines.
func conflicts(src *source) *Problem {
	marks, next := []string{"<<<<<<< ", "=======", ">>>>>>> "}, 0
	var lines []string
	first, off := 0, 0
	for i, line := range strings.SplitAfter(src.text, "\n") {
		if next < len(marks) && strings.HasPrefix(line, marks[next]) {
			if next == 0 {
				first = off
			}
			lines = append(lines, strconv.Itoa(i+1))
			next++
		}
		off += len(line)
	}
	if next < len(marks) {
		return nil
	}
	p := src.problem(span{first, first + 7}, "",
		"conflict markers of a Git merge (<<<<<<<, =======, >>>>>>>) in lines %s, %s and %s", lines[0], lines[1], lines[2])
	p.Hint = "keep one side and remove the markers"
	return &p
}

// lineEnd is the end of the line around at, but not far from it.
func lineEnd(text string, at int) int {
	const far = 200
	end := len(text)
	if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
		end = at + i
	}
	if end > at+far {
		for end = at + far; !utf8.RuneStart(text[end]); end-- {
		}
	}
	return end
}

// decodeTOML runs the decoder. Its panics are mistakes of its own; a file must not end the program.
func decodeTOML(text string) (doc map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this TOML cannot be read: %v", r)
		}
	}()
	_, err = toml.Decode(text, &doc)
	return doc, err
}

// syntaxProblem turns the decoder's error into a Problem.
func syntaxProblem(src *source, err error) *Problem {
	pe, ok := err.(toml.ParseError)
	if !ok {
		return &Problem{Pos: Pos{File: src.name}, Msg: plainWords(err.Error()), Len: 1}
	}
	// The decoder steps back one from where it stands, also from the start.
	start := max(0, min(pe.Position.Start, len(src.text)))
	at := span{start, start + max(1, pe.Position.Len)}
	p := src.problem(at, "", "%s", plainWords(pe.Message))
	if src.own && strings.Contains(src.text[:start], "secrets") {
		// A secret that was typed where none belongs must not reach a log.
		p.Line, p.Msg = "", "not valid TOML here"
	}
	return &p
}

// plainWords brings a message of the decoder to the form of ours.
func plainWords(s string) string {
	if key, ok := strings.CutPrefix(s, "Key '"); ok {
		if key, rest, ok := strings.Cut(key, "' "); ok && strings.HasPrefix(rest, "has already") {
			return printable("`" + key + "` stands here twice")
		}
	}
	s = strings.Replace(s, `but got '\x00' instead`, "but the line or file ends", 1)
	s = printable(strings.TrimSuffix(strings.TrimSpace(s), "."))
	if len(s) > 1 && isUpper(s[0]) && !isUpper(s[1]) {
		s = string(s[0]+'a'-'A') + s[1:]
	}
	return s
}

// place is where a key and its value are written.
type place struct{ key, val span }

// pathID makes a path a map's key.
func pathID(path []string) string { return strings.Join(path, "\x00") }

// scanPlaces finds the places of all keys, tables and elements: the decoder keeps its own to itself.
// Where it cannot go on it says where, with the places so far.
func scanPlaces(text string) (places map[string]place, at int, err error) {
	s := &tomlScan{src: []byte(text), under: -1, counts: map[string]int{}}
	for err == nil {
		s.skip(true)
		if s.pos >= len(s.src) {
			break
		}
		if s.src[s.pos] == '[' {
			err = s.headerLine()
		} else {
			err = s.keyValue(s.table, false, 0)
		}
		if err == nil {
			err = s.lineEnd()
		}
	}
	places = make(map[string]place, len(s.nodes))
	for _, n := range s.nodes {
		addPlaces(places, text, n, s.counts)
	}
	return places, min(s.pos, len(text)), err
}

// addPlaces enters one statement: its own path, and the tables that it implies. counts knows which
// names are arrays of tables, so that their elements' numbers are told from names.
func addPlaces(places map[string]place, text string, n tomlNode, counts map[string]int) {
	set := func(path []string, at place, own bool) {
		if _, known := places[pathID(path)]; !known || own {
			places[pathID(path)] = at
		}
	}
	if n.key.end == 0 { // an element of an array
		set(n.path, place{n.val, n.val}, true)
		return
	}
	parts := keyParts(text, n)
	if !n.header {
		outer := len(n.path) - len(parts)
		for i, part := range parts {
			at, own := place{part, part}, i == len(parts)-1
			if own {
				at.val = n.val
			}
			set(n.path[:outer+i+1], at, own)
		}
		return
	}
	depth, numbers := 0, len(n.path)-len(parts)
	for i, part := range parts {
		own := i == len(parts)-1
		depth++
		set(n.path[:depth], place{part, part}, own && !n.array)
		// A name that becomes an array further down, which the decoder will refuse, has no number here.
		if numbers > 0 && counts[pathID(n.path[:depth])] > 0 {
			numbers--
			depth++
			set(n.path[:depth], place{part, part}, own)
		}
	}
}

// keyParts finds the components of a dotted key.
func keyParts(text string, n tomlNode) []span {
	s := &tomlScan{src: []byte(text[n.key.start:n.key.end])}
	if n.header {
		for s.peek() == '[' {
			s.pos++
		}
	}
	var out []span
	for {
		s.skip(false)
		start := s.pos
		if _, err := s.keyPart(); err != nil {
			return out
		}
		out = append(out, span{n.key.start + start, n.key.start + s.pos})
		s.skip(false)
		if s.peek() != '.' {
			return out
		}
		s.pos++
	}
}

// fill makes the tree below n from decoded values.
func (n *keyNode) fill(value any, path []string, places map[string]place) {
	kid := func(name string, v any) *keyNode {
		sub := append(path[:len(path):len(path)], name)
		at, ok := places[pathID(sub)]
		if !ok {
			at = place{n.key, n.key}
		}
		k := &keyNode{src: n.src, key: at.key, val: at.val}
		k.fill(v, sub, places)
		return k
	}
	switch v := value.(type) {
	case map[string]any:
		n.isTable, n.kids = true, make(map[string]*keyNode, len(v))
		for name, x := range v {
			n.kids[name] = kid(name, x)
		}
	case []map[string]any:
		n.isList = true
		for i, x := range v {
			n.list = append(n.list, kid(strconv.Itoa(i), x))
		}
	case []any:
		n.isList = true
		for i, x := range v {
			n.list = append(n.list, kid(strconv.Itoa(i), x))
		}
	case time.Time, string, int64, float64, bool:
		n.value = v
	}
}

func newSource(name string, src []byte) *source {
	return &source{name: name, text: string(bytes.TrimPrefix(src, []byte("\ufeff")))}
}
