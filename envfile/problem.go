package envfile

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pos is a place in a file. Line and Col start at 1, Col counts characters; a Line of 0 means the
// value has a file but no line, such as one from the command line.
type Pos struct {
	File string
	Line int
	Col  int
}

// String gives FILE:LINE:COL, as compilers do.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Problem is one mistake in an env file.
type Problem struct {
	Pos
	Line string // the source line, control characters replaced; "" if there is none to show
	Msg  string // lower case, no final period, the value last
	Hint string // what to write instead; "" if nothing is known
	Len  int    // how many characters the mistake is long, at least 1
}

// maxShown is how many characters of a source line an error shows.
const maxShown = 110

// Error gives FILE:LINE:COL: MESSAGE, then the source line, then carets below the place with the
// hint behind them.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.Pos.String() + ": ")
	}
	b.WriteString(p.Msg)
	if p.Line == "" {
		if p.Hint != "" {
			b.WriteString("; " + p.Hint)
		}
		return b.String()
	}
	line, col := window([]rune(p.Line), p.Col)
	b.WriteString("\n    " + string(line) + "\n    ")
	for _, r := range line[:min(col-1, len(line))] {
		// A tab stays a tab, so that the caret is below its place however wide tabs are.
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat("^", max(1, min(p.Len, len(line)-col+1))))
	if p.Hint != "" {
		b.WriteString(" " + p.Hint)
	}
	return b.String()
}

// window cuts a long line around col and gives the column in what is left.
func window(line []rune, col int) ([]rune, int) {
	col = max(1, col)
	if len(line) <= maxShown {
		return line, min(col, len(line)+1)
	}
	start := max(0, min(col-1-maxShown/3, len(line)-maxShown))
	end := min(len(line), start+maxShown)
	out := append([]rune(nil), line[start:end]...)
	if start > 0 {
		out[0] = '…'
	}
	if end < len(line) {
		out[len(out)-1] = '…'
	}
	return out, min(col-start, len(out)+1)
}

// Problems are all mistakes of one reading, in the order of the file.
type Problems []Problem

// maxProblems is how many mistakes are looked for; a file with more is usually something else. The
// last problem then says so.
const maxProblems = 50

// Error prints each problem below the other.
func (ps Problems) Error() string {
	parts := make([]string, len(ps))
	for i := range ps {
		parts[i] = ps[i].Error()
	}
	return strings.Join(parts, "\n")
}

// source is the text of one file and where it comes from.
type source struct {
	name string
	text string
	own  bool // of the user, not of the project: what it grants needs no consent
}

// pos turns a byte offset into a place.
func (s *source) pos(off int) Pos {
	if s == nil {
		return Pos{}
	}
	if s.text == "" {
		return Pos{File: s.name}
	}
	off = max(0, min(off, len(s.text)))
	start := strings.LastIndexByte(s.text[:off], '\n') + 1
	return Pos{
		File: s.name,
		Line: 1 + strings.Count(s.text[:off], "\n"),
		Col:  1 + utf8.RuneCountInString(s.text[start:off]),
	}
}

// lineAt is the line around off as it may be shown on a terminal.
func (s *source) lineAt(off int) string {
	if s == nil {
		return ""
	}
	off = max(0, min(off, len(s.text)))
	start := strings.LastIndexByte(s.text[:off], '\n') + 1
	line, _, _ := strings.Cut(s.text[start:], "\n")
	return printable(strings.TrimSuffix(line, "\r"))
}

// problem makes a Problem about a part of the source.
func (s *source) problem(at span, hint, format string, args ...any) Problem {
	p := Problem{Pos: s.pos(at.start), Line: s.lineAt(at.start), Hint: hint, Msg: fmt.Sprintf(format, args...)}
	if s != nil {
		start := max(0, min(at.start, len(s.text)))
		part, _, _ := strings.Cut(s.text[start:max(start, min(at.end, len(s.text)))], "\n")
		p.Len = max(1, utf8.RuneCountInString(part))
	}
	return p
}

// printable replaces what could move the cursor or turn text around: a stranger's file is shown on
// the user's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, s)
}

// quote shows a value of the file in a message.
func quote(s string) string {
	const limit = 60
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit]) + "…"
	}
	return strconv.Quote(s)
}

// keyName writes a path of keys as TOML would, ready for a message.
func keyName(path ...string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r > 127 || !isBareKey(byte(r)) }) {
			p = quote(p)
		}
		parts[i] = p
	}
	return "`" + strings.Join(parts, ".") + "`"
}
