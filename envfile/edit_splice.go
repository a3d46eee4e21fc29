package envfile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/internal/near"
)

// addToArray puts a value behind the last one of an array, in the array's own style.
func (e *edit) addToArray(n *tomlNode, value string) []byte {
	inner := e.src[n.val.start:n.val.end]
	lines := bytes.Contains(inner, []byte("\n"))
	if len(n.elems) == 0 {
		if !lines {
			return e.splice(n.val, "["+value+"]")
		}
		at := e.lineStart(n.val.end - 1)
		if strings.TrimSpace(string(e.src[at:n.val.end-1])) != "" {
			return e.splice(span{n.val.end - 1, n.val.end - 1}, value)
		}
		return e.splice(span{at, at}, e.indent(n.key.start)+"  "+value+","+e.nl)
	}
	last := n.elems[len(n.elems)-1]
	comma := e.commaAfter(last.end, n.val.end-1)
	end := last.end
	if comma >= 0 {
		end = comma + 1
	}
	lineEnd := e.lineEnd(end)
	if !lines || lineEnd >= n.val.end {
		// The bracket stands on the line of the last value.
		if lines && e.lineStart(last.start) > n.val.start {
			return e.splice(span{last.end, last.end}, ","+e.nl+e.indent(last.start)+value)
		}
		return e.splice(span{last.end, last.end}, ", "+value)
	}
	indent := e.indent(last.start)
	if e.lineStart(last.start) <= n.val.start {
		indent = e.indent(n.key.start) + "  "
	}
	tail := e.nl + indent + value
	if comma >= 0 {
		return e.splice(span{lineEnd, lineEnd}, tail+",")
	}
	return slices.Concat(e.src[:last.end], []byte(","), e.src[last.end:lineEnd], []byte(tail), e.src[lineEnd:])
}

// commaAfter is where the comma behind a value is, past blanks and comments; -1 if there is none.
func (e *edit) commaAfter(at, end int) int {
	s := &tomlScan{src: e.src[:end], pos: at}
	s.skip(true)
	if s.peek() == ',' {
		return s.pos
	}
	return -1
}

func (e *edit) lineStart(at int) int { return bytes.LastIndexByte(e.src[:at], '\n') + 1 }

// lineEnd is where a line's text ends: before "\n" or "\r\n".
func (e *edit) lineEnd(at int) int {
	i := bytes.IndexByte(e.src[at:], '\n')
	if i < 0 {
		return len(e.src)
	}
	if i += at; i > at && e.src[i-1] == '\r' {
		i--
	}
	return i
}

func (e *edit) indent(at int) string {
	line := e.src[e.lineStart(at):at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// cut takes item i out of a list whose closing bracket is at end. One that has its lines for itself
// takes them along, with the comment behind it.
func (e *edit) cut(items []span, i, end int) []byte {
	it := items[i]
	comma := e.commaAfter(it.end, end)
	stop := it.end
	if comma >= 0 {
		stop = comma + 1
	}
	start, lineEnd := e.lineStart(it.start), e.lineEnd(stop)
	rest := strings.TrimSpace(string(e.src[stop:min(lineEnd, len(e.src))]))
	alone := strings.TrimSpace(string(e.src[start:it.start])) == "" && (rest == "" || rest[0] == '#') && lineEnd < end
	if alone {
		if lineEnd < len(e.src) {
			lineEnd += len(e.lineBreak(lineEnd))
		}
		return e.splice(span{start, lineEnd}, "")
	}
	switch {
	case i > 0 && comma < 0:
		return e.splice(span{items[i-1].end, it.end}, "")
	case i+1 < len(items) && e.lineStart(it.start) == e.lineStart(items[i+1].start):
		return e.splice(span{it.start, items[i+1].start}, "")
	case i > 0 && e.lineStart(it.start) == e.lineStart(items[i-1].start):
		return e.splice(span{items[i-1].end, it.end}, "")
	}
	return e.splice(span{it.start, stop}, "")
}

func (e *edit) lineBreak(at int) string {
	if e.src[at] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// addKey writes a key that is not there, beside its sisters if it has any.
func (e *edit) addKey(path []string, value string) []byte {
	table, key := path[0], quoteKey(path[1])
	line := key + " = " + value
	if n := e.find([]string{table}); n != nil && n.kind == '{' {
		return e.addInline(n, line)
	}
	for i, n := range e.nodes {
		if n.header && !n.array && slices.Equal(n.path, []string{table}) {
			at, indent := e.lastBelow(i, nil)
			return e.insertLine(at, indent+line)
		}
	}
	if at, indent := e.lastBelow(-1, []string{table}); at >= 0 {
		return e.insertLine(at, indent+quoteKey(table)+"."+line)
	}
	block := "[" + quoteKey(table) + "]" + e.nl + line + e.nl
	for _, n := range e.nodes {
		if n.header && len(n.path) > 1 && n.path[0] == table {
			at := e.above(e.lineStart(n.key.start))
			return e.splice(span{at, at}, block+e.nl)
		}
	}
	text := bytes.Clone(e.src)
	if len(bytes.TrimSpace(text)) > 0 {
		if !bytes.HasSuffix(text, []byte("\n")) {
			text = append(text, e.nl...)
		}
		text = append(text, e.nl...)
	}
	return append(text, block...)
}

// lastBelow is the end of the last statement below a header (-1: before all headers) whose path
// begins with prefix, or of the header itself; -1 if there is none.
func (e *edit) lastBelow(header int, prefix []string) (at int, indent string) {
	at = -1
	if header >= 0 {
		at, indent = e.nodes[header].key.end, e.indent(e.nodes[header].key.start)
	}
	for _, n := range e.nodes {
		if n.header || n.inline || n.under != header || len(n.path) <= len(prefix) || !slices.Equal(n.path[:len(prefix)], prefix) {
			continue
		}
		at, indent = n.val.end, e.indent(n.key.start)
	}
	return at, indent
}

// insertLine puts a line behind the one that at is on.
func (e *edit) insertLine(at int, line string) []byte {
	end := e.lineEnd(at)
	return e.splice(span{end, end}, e.nl+line)
}

// above moves a line's start up over the comments that stand right on top of it.
func (e *edit) above(at int) int {
	for at > 0 {
		prev := e.lineStart(at - 1)
		if !bytes.HasPrefix(bytes.TrimSpace(e.src[prev:at]), []byte("#")) {
			break
		}
		at = prev
	}
	return at
}

func (e *edit) addInline(n *tomlNode, line string) []byte {
	kids := e.inlineItems(n)
	if len(kids) == 0 {
		return e.splice(n.val, "{ "+line+" }")
	}
	at := kids[len(kids)-1].end
	return e.splice(span{at, at}, ", "+line)
}

// inlineItems are the keys with values of an inline table.
func (e *edit) inlineItems(n *tomlNode) []span {
	var out []span
	for _, k := range e.nodes {
		inside := k.inline && k.val.start > n.val.start && k.val.end < n.val.end && len(k.path) > len(n.path)
		if inside && (len(out) == 0 || k.key.start >= out[len(out)-1].end) && k.key.end > 0 {
			out = append(out, span{k.key.start, k.val.end})
		}
	}
	return out
}

// removeKey takes a key with its value away.
func (e *edit) removeKey(path []string) ([]byte, error) {
	n := e.find(path)
	if n == nil {
		sub, _ := e.doc[path[0]].(map[string]any)
		var names []string
		for k := range sub {
			names = append(names, k)
		}
		return nil, &AbsentError{Key: path[0], Name: path[1], Near: near.Word(path[1], names)}
	}
	if !n.inline {
		end := e.lineEnd(n.val.end)
		if end < len(e.src) {
			end += len(e.lineBreak(end))
		}
		return e.prove(e.splice(span{e.lineStart(n.key.start), end}, ""), path, nil, "")
	}
	parent := e.find(path[:1])
	if parent == nil {
		return nil, &EditError{Why: "its form is too unusual for a safe change"}
	}
	items := e.inlineItems(parent)
	i := slices.IndexFunc(items, func(s span) bool { return s.start == n.key.start })
	if i < 0 {
		return nil, &EditError{Why: "its form is too unusual for a safe change"}
	}
	return e.prove(e.cut(items, i, parent.val.end-1), path, nil, "")
}
