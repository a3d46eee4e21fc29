package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// The decoder gives values without places, keeps no comments, and follows nested brackets by
// recursion: some megabytes of "[" overflow its stack and end the process. So the text is first read
// by the scanner below, which knows TOML's statements and where each one lies, understands no
// values, and stops at maxNesting.
const maxNesting = 64

// Every value costs both some hundred bytes beside its text, and the decoder also its whole path.
const (
	maxNodes    = 1 << 18
	maxNamePath = 1 << 12
	maxPaths    = 1 << 26 // of all of them together
)

var (
	errNesting = errors.New("nested too deeply")
	errNodes   = fmt.Errorf("more than %d values, or a key longer than %d bytes with the tables above it", maxNodes, maxNamePath)
)

type span struct{ start, end int }

// tomlNode is one header line, or one key with its value.
type tomlNode struct {
	path   []string // from the root; an element of an array carries its number
	header bool     // [path]
	array  bool     // [[path]]
	key    span     // of a header: from the first bracket to the last
	val    span
	kind   byte   // of the value: '"' and '\'' strings, '[' array, '{' inline table, 0 any other
	elems  []span // of an array
	inline bool   // inside an inline table or an array: has no line of its own
	under  int    // the header it stands below, -1 for none
}

type tomlScan struct {
	src    []byte
	pos    int
	nodes  []tomlNode
	table  []string
	under  int
	counts map[string]int // [[path]] -> how many so far
	paths  int            // bytes of all paths so far
}

// scanTOML lists the statements of src in order. Its error says where it could not go on; text that
// the decoder refuses may still pass here.
func scanTOML(src []byte) ([]tomlNode, error) {
	s := &tomlScan{src: src, under: -1, counts: map[string]int{}}
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		s.pos = 3
	}
	for {
		s.skip(true)
		if s.pos >= len(s.src) {
			return s.nodes, nil
		}
		var err error
		if s.src[s.pos] == '[' {
			err = s.headerLine()
		} else {
			err = s.keyValue(s.table, false, 0)
		}
		if err == nil {
			err = s.lineEnd()
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", lineOf(src, s.pos), err)
		}
	}
}

func lineOf(src []byte, pos int) int {
	return 1 + bytes.Count(src[:min(pos, len(src))], []byte("\n"))
}

func (s *tomlScan) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// skip passes blanks, and with lines also newlines and comments.
func (s *tomlScan) skip(lines bool) {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == ' ' || c == '\t':
			s.pos++
		case lines && (c == '\n' || c == '\r'):
			s.pos++
		case lines && c == '#':
			s.comment()
		default:
			return
		}
	}
}

func (s *tomlScan) comment() {
	for s.pos < len(s.src) && s.src[s.pos] != '\n' {
		s.pos++
	}
}

func (s *tomlScan) lineEnd() error {
	s.skip(false)
	if s.peek() == '#' {
		s.comment()
	}
	if s.peek() == '\r' {
		s.pos++
	}
	if s.pos < len(s.src) && s.src[s.pos] != '\n' {
		return errors.New("more on the line than one statement")
	}
	return nil
}

func (s *tomlScan) headerLine() error {
	start, array := s.pos, bytes.HasPrefix(s.src[s.pos:], []byte("[["))
	s.pos++
	if array {
		s.pos++
	}
	name, err := s.keyPath()
	if err != nil {
		return err
	}
	for _, n := range []bool{true, array} {
		if n {
			if s.peek() != ']' {
				return errors.New("header without its closing bracket")
			}
			s.pos++
		}
	}
	s.table = s.resolve(name, array)
	s.under = len(s.nodes)
	return s.add(tomlNode{path: s.table, header: true, array: array, key: span{start, s.pos}, under: -1})
}

func (s *tomlScan) add(n tomlNode) error {
	size := 0
	for _, p := range n.path {
		size += len(p) + 1
	}
	if s.paths += size; len(s.nodes) >= maxNodes || size > maxNamePath || s.paths > maxPaths {
		return errNodes
	}
	s.nodes = append(s.nodes, n)
	return nil
}

// resolve puts the number of the current element after every name that is an array of tables.
func (s *tomlScan) resolve(name []string, array bool) []string {
	var out []string
	for i, part := range name {
		out = append(out, part)
		at := strings.Join(out, "\x00")
		if array && i == len(name)-1 {
			s.counts[at]++
		}
		if n := s.counts[at]; n > 0 {
			out = append(out, strconv.Itoa(n-1))
		}
	}
	return out
}

// keyPath reads a dotted key and the blanks around it.
func (s *tomlScan) keyPath() ([]string, error) {
	var parts []string
	for {
		s.skip(false)
		part, err := s.keyPart()
		if err != nil {
			return nil, err
		}
		if parts = append(parts, part); len(parts) > maxNesting {
			return nil, errNesting
		}
		s.skip(false)
		if s.peek() != '.' {
			return parts, nil
		}
		s.pos++
	}
}

func (s *tomlScan) keyPart() (string, error) {
	start := s.pos
	if c := s.peek(); c == '"' || c == '\'' {
		if err := s.str(); err != nil {
			return "", err
		}
		raw := string(s.src[start:s.pos])
		if c == '\'' || !strings.Contains(raw, `\`) {
			return raw[1 : len(raw)-1], nil
		}
		var v struct{ K string }
		_, err := toml.Decode("k = "+raw, &v)
		return v.K, err
	}
	for s.pos < len(s.src) && isBareKey(s.src[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		return "", errors.New("a key was expected here")
	}
	return string(s.src[start:s.pos]), nil
}

func isBareKey(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func (s *tomlScan) keyValue(table []string, inline bool, depth int) error {
	start := s.pos
	parts, err := s.keyPath()
	if err != nil {
		return err
	}
	end := s.pos
	if s.peek() != '=' {
		return errors.New("a key without a value")
	}
	s.pos++
	s.skip(false)
	path := append(append([]string(nil), table...), parts...)
	at := len(s.nodes)
	if err := s.add(tomlNode{path: path, key: span{start, end}, inline: inline, under: s.under}); err != nil {
		return err
	}
	return s.valueOf(at, depth)
}

// valueOf reads the value of s.nodes[at].
func (s *tomlScan) valueOf(at, depth int) error {
	start := s.pos
	kind, elems, err := s.value(s.nodes[at].path, depth)
	n := &s.nodes[at]
	n.val, n.kind, n.elems = span{start, s.pos}, kind, elems
	return err
}

func (s *tomlScan) value(path []string, depth int) (kind byte, elems []span, err error) {
	if depth > maxNesting || len(path) > 4*maxNesting {
		return 0, nil, errNesting
	}
	switch c := s.peek(); c {
	case '"', '\'':
		return c, nil, s.str()
	case '[':
		elems, err = s.arrayValue(path, depth)
		return c, elems, err
	case '{':
		return c, nil, s.inlineTable(path, depth)
	default:
		return 0, nil, s.scalar()
	}
}

func (s *tomlScan) scalar() error {
	start := s.pos
	for s.pos < len(s.src) && !strings.ContainsRune(",]}#\r\n", rune(s.src[s.pos])) {
		s.pos++
	}
	for s.pos > start && (s.src[s.pos-1] == ' ' || s.src[s.pos-1] == '\t') {
		s.pos--
	}
	if s.pos == start {
		return errors.New("a value was expected here")
	}
	return nil
}

func (s *tomlScan) arrayValue(path []string, depth int) ([]span, error) {
	var elems []span
	s.pos++
	for {
		s.skip(true)
		if s.peek() == ']' {
			s.pos++
			return elems, nil
		}
		if s.pos >= len(s.src) {
			return nil, errors.New("an array without its closing bracket")
		}
		at, start := len(s.nodes), s.pos
		sub := append(append([]string(nil), path...), strconv.Itoa(len(elems)))
		if err := s.add(tomlNode{path: sub, inline: true, under: s.under}); err != nil {
			return nil, err
		}
		if err := s.valueOf(at, depth+1); err != nil {
			return nil, err
		}
		elems = append(elems, span{start, s.pos})
		s.skip(true)
		if s.peek() == ',' {
			s.pos++
		} else if s.peek() != ']' {
			return nil, errors.New("a comma or a closing bracket was expected here")
		}
	}
}

func (s *tomlScan) inlineTable(path []string, depth int) error {
	s.pos++
	for {
		s.skip(true)
		if s.peek() == '}' {
			s.pos++
			return nil
		}
		if s.pos >= len(s.src) {
			return errors.New("an inline table without its closing brace")
		}
		if err := s.keyValue(path, true, depth+1); err != nil {
			return err
		}
		s.skip(true)
		if s.peek() == ',' {
			s.pos++
		} else if s.peek() != '}' {
			return errors.New("a comma or a closing brace was expected here")
		}
	}
}

// str passes one string of any of the four kinds.
func (s *tomlScan) str() error {
	q := s.src[s.pos]
	long := strings.Repeat(string(q), 3)
	if bytes.HasPrefix(s.src[s.pos:], []byte(long)) {
		return s.longStr(q, long)
	}
	for s.pos++; s.pos < len(s.src) && s.src[s.pos] != '\n'; s.pos++ {
		switch {
		case s.src[s.pos] == q:
			s.pos++
			return nil
		case s.src[s.pos] == '\\' && q == '"':
			s.pos++
		}
	}
	return errors.New("a string without its closing quote")
}

func (s *tomlScan) longStr(q byte, long string) error {
	for s.pos += 3; s.pos < len(s.src); s.pos++ {
		if s.src[s.pos] == '\\' && q == '"' {
			s.pos++
			continue
		}
		if bytes.HasPrefix(s.src[s.pos:], []byte(long)) {
			s.pos += 3
			// Up to two quotes may stand right before the closing three.
			for i := 0; i < 2 && s.peek() == q; i++ {
				s.pos++
			}
			return nil
		}
	}
	return errors.New("a string without its closing quotes")
}
